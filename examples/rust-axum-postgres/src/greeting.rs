pub const GREETING: &str = "Hello from the main branch";
