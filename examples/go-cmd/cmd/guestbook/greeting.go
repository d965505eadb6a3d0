package main

const greeting = "Hello from the main branch"
