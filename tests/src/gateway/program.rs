//! The programs under test.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

/// Where a program is: in `CORDON_BIN_DIR`, or beside the running test's `deps` directory.
pub fn binary(name: &str) -> PathBuf {
    let directory = env::var_os("CORDON_BIN_DIR").map_or_else(beside_the_tests, PathBuf::from);
    let path = directory.join(name);
    let hint = "build it with `cargo xtask build`, or set CORDON_BIN_DIR";
    assert!(path.is_file(), "there is no {}; {hint}", path.display());
    path
}

fn beside_the_tests() -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    test.ancestors().nth(2).expect("the target directory").to_owned()
}

/// A program that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub out: String,
    /// What it wrote to stderr.
    pub errors: String,
}

impl Ended {
    /// Runs a command to its end.
    pub fn of(mut command: Command) -> Self {
        let output = command.stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, errors) = (text(&output.stdout), text(&output.stderr));
        Self { code: output.status.code(), out, errors }
    }

    /// Panics unless it succeeded; returns what it wrote.
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.errors);
        self.out
    }

    /// Panics unless it ended with that code, one plain sentence that says `words`, and a hint.
    pub fn refused(&self, code: i32, words: &str) {
        let Self { code: ended, out: _, errors } = self;
        assert_eq!(*ended, Some(code), "{errors}");
        let (sentence, hint) = (self.sentence(), self.line("hint: "));
        assert!(sentence.contains(words), "{words:?} is not in {sentence:?}");
        assert!(hint.is_some_and(|hint| hint.len() > 10), "no hint: {errors}");
        for dump in ["Error(", "Some(", "Os {", "panicked", "RUST_BACKTRACE"] {
            assert!(!errors.contains(dump), "a debug dump: {errors}");
        }
    }

    /// The one sentence that says why.
    pub fn sentence(&self) -> &str {
        let told = self.line("cordond: ").or_else(|| self.line("error: "));
        told.unwrap_or_else(|| panic!("no sentence: {}", self.errors))
    }

    fn line(&self, start: &str) -> Option<&str> {
        self.errors.lines().find_map(|line| line.strip_prefix(start))
    }
}
