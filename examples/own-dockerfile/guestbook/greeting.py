GREETING = "Hello from the main branch"
