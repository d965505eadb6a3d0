//! Becoming another program: for what a person works with at a terminal, such as a shell over SSH. Signals, the terminal's size and
//! the exit code are then that program's own business, and there is nobody in between who could get them wrong.

use std::io::{self, PipeReader, Write};
use std::os::unix::process::CommandExt;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::program::Program;
use crate::run::ExecError;

impl Program {
    /// Becomes the program: it takes our place, with our terminal, our output and (unless it was given some) our input. Limits
    /// don't hold it. Comes back only if it could not be started.
    pub fn take_over(&self) -> ExecError {
        #[expect(clippy::disallowed_methods, reason = "this crate is the one place that starts programs")]
        let mut command = std::process::Command::new(&self.name);
        command.args(&self.args).env_clear().envs(self.environment());
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        if !self.stdin.is_empty() {
            match filled(&self.stdin) {
                Ok(pipe) => command.stdin(pipe),
                Err(source) => return self.not_started(source),
            };
        }
        self.not_started(command.exec())
    }
}

/// The end of a pipe that has these bytes in it, and no more to come. What doesn't fit at once is an error: nobody reads it yet.
fn filled(bytes: &[u8]) -> io::Result<PipeReader> {
    let (reader, mut writer) = io::pipe()?;
    fcntl_setfl(&writer, fcntl_getfl(&writer)? | OFlags::NONBLOCK)?;
    writer.write_all(bytes)?;
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_cannot_take_over_says_why_and_leaves_us_in_place() {
        assert!(matches!(Program::new("/no/such/program").take_over(), ExecError::Missing { .. }));
        let too_much = Program::new("cat").stdin(vec![b'x'; 2 << 20]).take_over();
        assert!(matches!(too_much, ExecError::System { .. }), "{too_much}");
    }

    #[test]
    fn a_filled_pipe_ends() {
        let mut read = String::new();
        filled(b"a value").unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, "a value");
        assert_eq!(filled(&[b'x'; 64 << 10]).unwrap().read_to_end(&mut Vec::new()).unwrap(), 64 << 10);
    }
}
