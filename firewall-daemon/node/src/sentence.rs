//! Errors as people read them.

use std::error::Error;

/// An error and its causes in one line, without repeating what was said already.
pub fn sentence(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        let cause = cause.to_string();
        if !sentence.contains(&cause) {
            sentence = format!("{sentence}: {cause}");
        }
    }
    sentence
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Chained(&'static str, Option<Box<Chained>>);

    impl fmt::Display for Chained {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(self.0)
        }
    }

    impl Error for Chained {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as &dyn Error)
        }
    }

    #[test]
    fn every_cause_is_told_once() {
        let innermost = Chained("no such file", None);
        let inner = Chained("cannot read it: no such file", Some(Box::new(innermost)));
        let outer = Chained("it cannot be used", Some(Box::new(inner)));
        assert_eq!(sentence(&outer), "it cannot be used: cannot read it: no such file");
    }
}
