//! What fuzzers have found, tried once more: every input under `tests/fuzz/corpus` against the body
//! of its target.

use std::fs;
use std::path::Path;

use firewall_tests::fuzz::TARGETS;

#[test]
fn every_input_that_a_fuzzer_has_kept_still_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, body) in TARGETS {
        let directory = corpus.join(name);
        let files = fs::read_dir(&directory);
        let files = files.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let mut count = 0;
        for file in files.map(Result::unwrap) {
            println!("{}", file.path().display());
            body(&fs::read(file.path()).unwrap());
            count += 1;
        }
        assert!(count >= 10, "{count} inputs for {name}");
    }
}

#[test]
fn no_body_minds_an_input_that_is_empty_or_noise() {
    for (_, body) in TARGETS {
        body(&[]);
        for length in 1..600_usize {
            let noise =
                (0..length).map(|place| u8::try_from((place * place + length) % 251).unwrap());
            body(&noise.collect::<Vec<_>>());
        }
    }
}
