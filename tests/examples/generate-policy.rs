//! Writes what `firewall_tests::generate` makes: `generate-policy NODES RULES DIRECTORY`.

use std::path::PathBuf;
use std::{env, fs, io};

use firewall_tests::generate;

fn main() -> io::Result<()> {
    let mut arguments = env::args_os().skip(1);
    let mut number = || -> Option<u32> { arguments.next()?.to_str()?.parse().ok() };
    let (nodes, rules) = (number(), number());
    let directory = arguments.next().map(PathBuf::from);
    let (Some(nodes), Some(rules), Some(directory)) = (nodes, rules, directory) else {
        return Err(io::Error::other("usage: generate-policy NODES RULES DIRECTORY"));
    };
    fs::create_dir_all(&directory)?;
    let (mut files, mut bytes) = (0, 0);
    for (name, text) in generate::files(nodes, rules) {
        fs::write(directory.join(name), &text)?;
        files += 1;
        bytes += text.len();
    }
    println!("{}: {files} files, {} KiB", directory.display(), bytes >> 10);
    println!(
        "cordon.toml needs the ports \"inside\" and \"outside\" as a pair, and this:\n\
         [capacity]\nnodes = {}\nrules = {}",
        generate::addresses(nodes),
        rules.max(1)
    );
    Ok(())
}
