module Greeting
  TEXT = "Hello from the main branch".freeze
end
