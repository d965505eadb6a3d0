export const GREETING = 'Hello from the main branch';
