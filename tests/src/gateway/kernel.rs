//! What lies in the kernel, past the daemon: for whoever edits it behind the daemon's back.

use std::{
    collections::HashSet,
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use firewall_common::{
    Addr,
    abi::{Control, Publication, map},
};
use firewall_daemon::dataplane::{
    neighbourhood,
    sys::{self, LinkInfo, Mapping, Shared},
};
use nix::net::if_::if_nametoindex;

use super::Gateway;

impl Gateway {
    /// Where a port's link is pinned.
    pub fn link_pin(&self, port: &str) -> PathBuf {
        self.pins().join("links").join(port)
    }

    /// The pinned link of a port.
    pub fn link(&self, port: &str) -> Option<LinkInfo> {
        let link = sys::open_pin(&self.link_pin(port)).ok()?;
        sys::link_info(link.as_fd()).ok()
    }

    /// Whether a port's interface runs the program of that link.
    pub fn runs(&self, port: &str, armed: &LinkInfo) -> bool {
        let index = self.lab().gateway().run(|| if_nametoindex(port)).ok();
        let is_armed = |now: LinkInfo| now.program == armed.program && Some(now.interface) == index;
        self.link(port).is_some_and(is_armed)
    }

    /// Where a map is pinned.
    pub fn map_pin(&self, name: &str) -> PathBuf {
        let pins = fs::read_dir(self.pins()).expect("a directory of pins").flatten();
        let mut pins = pins.map(|entry| entry.path());
        let maps = pins.find(|path| path.to_string_lossy().contains("/maps-"));
        maps.expect("a directory of maps").join(name)
    }

    /// Opens a map.
    pub fn open_map(&self, name: &str) -> OwnedFd {
        let map = sys::open_pin(&self.map_pin(name));
        map.unwrap_or_else(|error| panic!("the map {name}: {error}"))
    }

    /// Opens a map of words.
    pub fn words<T: Shared>(&self, name: &str) -> Mapping<T> {
        let mapping = Mapping::new(self.open_map(name).as_fd());
        mapping.unwrap_or_else(|error| panic!("the map {name}: {error}"))
    }

    /// Which image is in force.
    pub fn publication(&self) -> Publication {
        Publication::decode(self.words::<Control>(map::CONTROL)[0].publication.load())
    }

    /// How many events of a kind have a message with those words.
    pub fn told(&self, kind: &str, words: &str) -> usize {
        let says = |message: &String| message.contains(words);
        let events = self.events().into_iter().filter(|event| event.kind.name() == kind);
        events.filter(|event| event.message.as_ref().is_some_and(says)).count()
    }

    /// The state and the sentence of a check.
    pub fn check(&self, name: &str) -> (String, String) {
        let check = self.status().health.into_iter().find(|check| check.name == name);
        let check = check.unwrap_or_else(|| panic!("there is no check {name}"));
        (check.state.name().to_owned(), check.sentence)
    }

    /// The metrics page.
    pub fn metrics_page(&self) -> String {
        let page = self.lab().gateway().run(|| TcpStream::connect("127.0.0.1:9618"));
        let mut page = page.expect("the metrics page");
        page.set_read_timeout(Some(Duration::from_secs(5))).expect("set a timeout");
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        page.write_all(request.as_bytes()).expect("ask for the metrics page");
        let mut answer = String::new();
        page.read_to_string(&mut answer).expect("read the metrics page");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a header");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        body.to_owned()
    }

    /// How much of a processor's time a thread of the daemon's has taken.
    pub fn processor_time(&self, thread: &str) -> Duration {
        let daemon = self.daemon.as_ref().expect("no daemon runs");
        let threads = fs::read_dir(format!("/proc/{}/task", daemon.id())).expect("its threads");
        let mut threads = threads.flatten().map(|entry| entry.path());
        let is_it = |path: &PathBuf| {
            fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == thread)
        };
        let path = threads.find(is_it).unwrap_or_else(|| panic!("there is no thread {thread}"));
        // On a processor, waiting for one, turns; in nanoseconds.
        let spent = fs::read_to_string(path.join("schedstat")).expect("how the thread fares");
        let nanoseconds = spent.split(' ').next().and_then(|first| first.parse().ok());
        Duration::from_nanos(nanoseconds.expect("a number"))
    }

    /// The addresses that a router's program knows as the gateway's own.
    pub fn known_addresses(&self) -> HashSet<Addr> {
        neighbourhood::local(&self.pinned_maps()).expect("read the gateway's addresses")
    }
}

/// Asks `promtool`, of Debian's package `prometheus`, about a page of metrics.
pub fn assert_promtool_has_nothing_to_say(page: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).spawn().expect("promtool, of prometheus");
    let asked = child.stdin.take().map(|mut stdin| stdin.write_all(page.as_bytes()));
    asked.expect("its input").expect("ask promtool");
    let output = child.wait_with_output().expect("what promtool says");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.trim().is_empty(), "{said}\n{page}");
}
