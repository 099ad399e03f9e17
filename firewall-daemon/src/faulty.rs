//! `cordond-faulty`: the daemon with fail points, for tests. It is never installed.

#[path = "main.rs"]
mod cordond;

fn main() -> std::process::ExitCode {
    cordond::main()
}
