// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exit codes, the same for every program: 0 done, 1 the answer is no, 2 error or usage.
//! clap already ends with 2 on usage errors.

use std::io;
use std::process::ExitCode;

/// How a run that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Done. Exit code 0.
    Yes,
    /// It worked and the answer is no: not attached, segments left over. Exit code 1.
    No,
    /// A documented code of one program's own, for example 3 for a conflict in the bucket.
    Code(u8),
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Yes => Self::SUCCESS,
            Answer::No => Self::from(1),
            Answer::Code(code) => Self::from(code),
        }
    }
}

/// Turns the result of `run` into the exit code, with the error chain as one line on stderr.
///
/// A broken pipe is success: whoever read the output has seen enough.
#[must_use]
#[expect(clippy::print_stderr, reason = "the last line a program says; tracing may be off")]
pub fn finish(program: &str, result: anyhow::Result<Answer>) -> ExitCode {
    match result {
        Ok(answer) => answer.into(),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    fn code(result: anyhow::Result<Answer>) -> String {
        format!("{:?}", finish("test", result))
    }

    #[test]
    fn each_ending_has_its_documented_code() {
        assert_eq!(code(Ok(Answer::Yes)), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(code(Ok(Answer::No)), format!("{:?}", ExitCode::from(1)));
        assert_eq!(code(Ok(Answer::Code(3))), format!("{:?}", ExitCode::from(3)));
        assert_eq!(code(Err(anyhow::anyhow!("no"))), format!("{:?}", ExitCode::from(2)));
    }

    /// `ibsr-report ... | head` must not end as a failure, however deep the write was.
    #[test]
    fn a_broken_pipe_below_any_context_is_success() {
        let error = io::Error::from(io::ErrorKind::BrokenPipe);
        let result = Err::<Answer, _>(error).context("failed to write the table");
        assert_eq!(code(result), format!("{:?}", ExitCode::SUCCESS));
    }
}
