// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an answer of the bucket means for a segment. Pure: the whole table of
//! "exactly once, never overwritten, never guessed" stands here.

use ibsr_s3::S3Problem;

use crate::capability::Conditional;

/// How the attempt to upload a segment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The bucket holds it. `was_there`: it did before this attempt.
    Uploaded {
        /// Sent earlier, by a process or request that did not learn of it.
        was_there: bool,
    },
    /// The key holds something else, or something that may not be compared.
    Conflict {
        /// Whether the hashes were compared.
        is_compared: bool,
    },
    /// Not now.
    LeftOver(S3Problem),
    /// Not until the operator changes something; true of every segment.
    Stop(S3Problem),
}

/// What to do next about a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    End(Outcome),
    /// Ask what the key holds.
    Head,
    /// Send it.
    Put,
    /// The same again, after a wait.
    Retry(S3Problem),
}

/// When a HEAD is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before sending, because the server may not refuse to overwrite.
    Before(Conditional),
    /// After the server said that the key exists.
    Exists {
        /// Whether this content may have been sent to this key before.
        sent_before: bool,
    },
}

/// The meaning of the answer to a PUT or to the completion of a multipart upload.
pub fn after_put(answer: Result<(), S3Problem>) -> Next {
    match answer {
        Ok(()) => Next::End(Outcome::Uploaded { was_there: false }),
        Err(S3Problem::PreconditionFailed(_)) => Next::Head,
        Err(problem) => failed(problem),
    }
}

/// The meaning of the answer to a HEAD: the hash that the object carries, or why not. `ours`
/// is the segment's.
pub fn after_head(answer: Result<Option<String>, S3Problem>, ours: &str, stage: Stage) -> Next {
    match (answer, stage) {
        (Ok(Some(theirs)), _) if theirs == ours => Next::End(Outcome::Uploaded { was_there: true }),
        (Ok(_), _) => Next::End(Outcome::Conflict { is_compared: true }),
        (Err(S3Problem::NotFound(_)), Stage::Before(_)) => Next::Put,
        // Deleted between the two requests.
        (Err(problem @ S3Problem::NotFound(_)), Stage::Exists { .. }) => Next::Retry(problem),
        (Err(problem), _) if problem.is_transient() => Next::Retry(problem),
        // A HEAD has no body, so its refusal says little; the PUT will say what is wrong.
        (Err(_), Stage::Before(Conditional::Honoured | Conditional::Unknown)) => Next::Put,
        (Err(S3Problem::AccessDenied(_)), Stage::Exists { sent_before: true }) => {
            Next::End(Outcome::Uploaded { was_there: true })
        }
        (Err(S3Problem::AccessDenied(_)), Stage::Exists { sent_before: false }) => {
            Next::End(Outcome::Conflict { is_compared: false })
        }
        (Err(problem), _) => Next::End(Outcome::Stop(problem)),
    }
}

/// Whether a request that ended so may have been carried out all the same.
pub fn may_have_stored(problem: &S3Problem) -> bool {
    matches!(problem, S3Problem::Network(_) | S3Problem::Timeout | S3Problem::Server(_))
}

fn failed(problem: S3Problem) -> Next {
    if problem.is_transient() { Next::Retry(problem) } else { Next::End(Outcome::Stop(problem)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXISTS: Stage = Stage::Exists { sent_before: false };

    fn denied<T>() -> Result<T, S3Problem> {
        Err(S3Problem::AccessDenied("HTTP 403".into()))
    }

    fn missing<T>() -> Result<T, S3Problem> {
        Err(S3Problem::NotFound("HTTP 404".into()))
    }

    fn done(was_there: bool) -> Next {
        Next::End(Outcome::Uploaded { was_there })
    }

    /// E3: a response that was lost after the object was stored ends as 412, HEAD, same hash.
    #[test]
    fn what_is_there_with_our_hash_is_done() {
        let exists = S3Problem::PreconditionFailed("HTTP 412".into());
        assert_eq!(after_put(Err(exists)), Next::Head);
        assert_eq!(after_head(Ok(Some("aa".into())), "aa", EXISTS), done(true));
        assert_eq!(after_put(Ok(())), done(false));
    }

    /// E5: other content, or content of unknown origin, is never taken for ours.
    #[test]
    fn what_is_there_with_another_hash_or_none_is_a_conflict() {
        let conflict = Next::End(Outcome::Conflict { is_compared: true });
        for stage in
            [EXISTS, Stage::Before(Conditional::Ignored), Stage::Exists { sent_before: true }]
        {
            assert_eq!(after_head(Ok(Some("bb".into())), "aa", stage), conflict);
            assert_eq!(after_head(Ok(None), "aa", stage), conflict);
        }
    }

    /// A bucket that may only be written: our own record of having sent it decides.
    #[test]
    fn without_the_right_to_head_only_a_recorded_attempt_counts() {
        let sent = Stage::Exists { sent_before: true };
        assert_eq!(after_head(denied(), "aa", sent), done(true));
        let unsure = Next::End(Outcome::Conflict { is_compared: false });
        assert_eq!(after_head(denied(), "aa", EXISTS), unsure);
    }

    /// A server that overwrites and does not let us look first cannot be written to safely.
    #[test]
    fn a_denied_head_before_the_put_matters_only_where_the_server_overwrites() {
        for conditional in [Conditional::Honoured, Conditional::Unknown] {
            assert_eq!(after_head(denied(), "aa", Stage::Before(conditional)), Next::Put);
        }
        let before = Stage::Before(Conditional::Ignored);
        assert!(matches!(after_head(denied(), "aa", before), Next::End(Outcome::Stop(_))));
        assert_eq!(after_head(missing(), "aa", before), Next::Put);
        assert!(matches!(after_head(missing(), "aa", EXISTS), Next::Retry(_)));
    }

    #[test]
    fn trouble_of_the_moment_is_retried_and_the_rest_stops() {
        for problem in [
            S3Problem::Timeout,
            S3Problem::Throttled("SlowDown".into()),
            S3Problem::ConflictRetry("HTTP 409".into()),
            S3Problem::Checksum("BadDigest".into()),
        ] {
            assert_eq!(after_put(Err(problem.clone())), Next::Retry(problem.clone()));
            assert_eq!(after_head(Err(problem.clone()), "aa", EXISTS), Next::Retry(problem));
        }
        let region = S3Problem::WrongRegion { code: "HTTP 301".into(), region: None };
        assert_eq!(after_put(Err(region.clone())), Next::End(Outcome::Stop(region)));
    }

    #[test]
    fn only_a_request_without_a_clear_answer_may_have_been_carried_out() {
        assert!(may_have_stored(&S3Problem::Timeout));
        assert!(may_have_stored(&S3Problem::Server("HTTP 500".into())));
        assert!(!may_have_stored(&S3Problem::Throttled("SlowDown".into())));
        assert!(!may_have_stored(&S3Problem::ConflictRetry("HTTP 409".into())));
    }
}
