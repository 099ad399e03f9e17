//! Traffic that goes on while something happens to the gateway.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Once,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

use nix::libc;

use crate::{
    lab::{Host, RawPort},
    packet::Packet,
};

/// How long a call may block before a worker looks whether it shall end.
const TURN: Duration = Duration::from_millis(50);
/// Between two pieces of a stream, two datagrams, two frames.
const PAUSE: Duration = Duration::from_micros(500);
/// How long a stream may take to go on. TCP repeats itself after 0.2 s, 0.4 s, 0.8 s...
const PATIENCE: Duration = Duration::from_secs(15);

/// Waits until `true`; whether that took less than `patience`.
pub fn eventually(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    while !is_so() {
        if Instant::now() >= end {
            return false;
        }
        sleep(Duration::from_millis(2));
    }
    true
}

/// Threads that work until they are dropped.
#[derive(Debug, Default)]
struct Workers {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    fn spawn(&mut self, mut turn: impl FnMut() -> bool + Send + 'static) {
        let over = Arc::clone(&self.over);
        self.threads.push(thread::spawn(move || while !over.load(SeqCst) && turn() {}));
    }

    fn end(&mut self) {
        self.over.store(true, SeqCst);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "a worker has panicked");
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.end();
    }
}

/// A TCP connection from one host to the other and back, that never ends by itself: each byte is
/// sent, echoed and compared.
#[derive(Debug)]
pub struct Stream {
    echoed: Arc<AtomicU64>,
    broken: Arc<AtomicBool>,
    _workers: Workers,
}

impl Stream {
    /// Connects `from` to the port of `address` on `to`.
    pub fn open(from: &Host, to: &Host, address: &str, port: u16) -> Self {
        Self::try_open(from, to, address, port)
            .unwrap_or_else(|error| panic!("{address} port {port}: {error}"))
    }

    /// The same, or why not, within a second.
    pub fn try_open(from: &Host, to: &Host, address: &str, port: u16) -> std::io::Result<Self> {
        let listener = to.run(|| TcpListener::bind((address, port))).expect("listen");
        let place = format!("{}:{port}", bracketed(address)).parse().expect("an address");
        let client = from.run(|| TcpStream::connect_timeout(&place, Duration::from_secs(1)))?;
        let (server, _) = listener.accept()?;
        for socket in [&client, &server] {
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(TURN))?;
            socket.set_write_timeout(Some(TURN))?;
        }
        let (echoed, broken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut workers = Workers::default();
        let mut place = 0;
        let whole = || Arc::clone(&broken);
        workers.spawn(writer(client.try_clone()?, whole(), move || pattern(&mut place)));
        workers.spawn(echo(server, whole()));
        workers.spawn(reader(client, whole(), Arc::clone(&echoed)));
        Ok(Self { echoed, broken, _workers: workers })
    }

    /// Bytes that went there and came back, unchanged and in order.
    pub fn echoed(&self) -> u64 {
        self.echoed.load(SeqCst)
    }

    /// Panics unless it goes on, on the same connection, within 15 seconds. Returns how long it
    /// took.
    pub fn assert_flows(&self) -> Duration {
        let (begun, before) = (Instant::now(), self.echoed());
        // More than the buffers hold that may be full of echoes from before.
        let flows = eventually(PATIENCE, || self.echoed() > before + 2048 || self.is_broken());
        assert!(!self.is_broken(), "the connection was reset or its bytes were changed");
        assert!(flows, "the connection does not go on");
        begun.elapsed()
    }

    /// Panics if a byte crosses within `time`, but for those that had arrived before.
    pub fn assert_stands(&self, time: Duration) {
        sleep(TURN);
        let before = self.echoed();
        sleep(time);
        assert_eq!(self.echoed(), before, "the connection goes on");
        assert!(!self.is_broken(), "the connection was reset");
    }

    /// It was reset or closed, or carried something else than what was sent.
    pub fn is_broken(&self) -> bool {
        self.broken.load(SeqCst)
    }
}

fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

/// 251 is prime: a piece that is lost, doubled or swapped does not fit.
fn pattern(place: &mut u64) -> Vec<u8> {
    (0..512).map(|_| next(place)).collect()
}

fn next(place: &mut u64) -> u8 {
    *place += 1;
    u8::try_from(*place % 251).expect("less than 251")
}

fn is_turn_over(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Writes all of `pending`; whether the connection is still whole.
fn push(socket: &mut TcpStream, pending: &mut Vec<u8>, broken: &AtomicBool) -> bool {
    match socket.write(pending) {
        Ok(written) => drop(pending.drain(..written)),
        Err(error) if is_turn_over(&error) => {}
        Err(_) => broken.store(true, SeqCst),
    }
    !broken.load(SeqCst)
}

fn writer(
    mut socket: TcpStream,
    broken: Arc<AtomicBool>,
    mut more: impl FnMut() -> Vec<u8> + Send,
) -> impl FnMut() -> bool + Send {
    let mut pending = Vec::new();
    move || {
        if pending.is_empty() {
            pending = more();
            sleep(PAUSE);
        }
        push(&mut socket, &mut pending, &broken)
    }
}

fn echo(mut socket: TcpStream, broken: Arc<AtomicBool>) -> impl FnMut() -> bool + Send {
    let (mut pending, mut buffer) = (Vec::new(), vec![0; 4096]);
    move || {
        if pending.is_empty() {
            match socket.read(&mut buffer) {
                Ok(length) => pending.extend(&buffer[..length]),
                Err(error) if is_turn_over(&error) => return true,
                Err(_) => broken.store(true, SeqCst),
            }
        }
        !pending.is_empty() && push(&mut socket, &mut pending, &broken)
    }
}

fn reader(
    mut socket: TcpStream,
    broken: Arc<AtomicBool>,
    echoed: Arc<AtomicU64>,
) -> impl FnMut() -> bool + Send {
    let (mut place, mut buffer) = (0, vec![0; 4096]);
    move || {
        match socket.read(&mut buffer) {
            Ok(length) if length > 0 && buffer[..length].iter().all(|b| *b == next(&mut place)) => {
                echoed.store(place, SeqCst);
            }
            Err(error) if is_turn_over(&error) => {}
            Ok(_) | Err(_) => broken.store(true, SeqCst),
        }
        !broken.load(SeqCst)
    }
}

/// Numbered datagrams that the other host answers, one by one: the next is sent when the answer is
/// there, or has not come for a second.
#[derive(Debug)]
pub struct Datagrams {
    sent: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
    asking: Workers,
    _answering: Workers,
}

impl Datagrams {
    /// Sends from `from` to the port of `address` on `to`.
    pub fn exchange(from: &Host, to: &Host, (source, address): (&str, &str), port: u16) -> Self {
        let server = to.run(|| UdpSocket::bind((address, port))).expect("bind a server");
        let client = from.run(|| UdpSocket::bind((source, 0))).expect("bind a client");
        client.connect((address, port)).expect("connect a client");
        client.set_read_timeout(Some(Duration::from_secs(1))).expect("set a timeout");
        server.set_read_timeout(Some(TURN)).expect("set a timeout");
        let (sent, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (mut asking, mut answering) = (Workers::default(), Workers::default());
        answering.spawn(move || {
            let mut buffer = [0; 64];
            if let Ok((length, peer)) = server.recv_from(&mut buffer) {
                let _unreachable_is_lost = server.send_to(&buffer[..length], peer);
            }
            true
        });
        let (number, right) = (Arc::clone(&sent), Arc::clone(&answered));
        asking.spawn(move || {
            let question = (number.fetch_add(1, SeqCst) + 1).to_be_bytes();
            let mut answer = [0; 64];
            if client.send(&question).is_ok()
                && matches!(client.recv(&mut answer), Ok(8) if answer[..8] == question)
            {
                right.fetch_add(1, SeqCst);
            }
            sleep(PAUSE);
            true
        });
        Self { sent, answered, asking, _answering: answering }
    }

    /// How many were answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(SeqCst)
    }

    /// Ends it, the questions first. How many were sent, and how many of them answered.
    pub fn end(mut self) -> (u64, u64) {
        self.asking.end();
        (self.sent.load(SeqCst), self.answered.load(SeqCst))
    }
}

/// Frames, again and again.
#[derive(Debug)]
pub struct Flood {
    begun: Instant,
    sent: Arc<AtomicU64>,
    workers: Workers,
}

/// Frames that one call hands to the kernel.
const BATCH: usize = 64;
/// What a flood that was kept waiting makes up for; the rest is forgone.
const DEBT: Duration = Duration::from_millis(20);

impl Flood {
    /// Frames a second that are more than 100,000 also where the machine is busy now and then.
    pub const FAST: u32 = 120_000;

    /// Sends `packets` in turn from `host`, one every half millisecond; on a new interface, too, where
    /// the host's is made again.
    pub fn start(host: &Host, packets: &[Packet]) -> Self {
        Self::send(host, packets, 1, |_| sleep(PAUSE))
    }

    /// The same, so many frames a second, as far as the machine can.
    pub fn at(per_second: u32, host: &Host, packets: &[Packet]) -> Self {
        let mut begun = Instant::now();
        let first = Once::new();
        Self::send(host, packets, BATCH, move |sent| {
            first.call_once(wait_for_no_processor);
            let due = begun + Duration::from_secs(sent) / per_second;
            let now = Instant::now();
            // Late: by more than it may make up for?
            begun += now.saturating_duration_since(due).saturating_sub(DEBT);
            sleep(due.saturating_duration_since(now));
        })
    }

    fn send(
        host: &Host,
        packets: &[Packet],
        batch: usize,
        mut wait: impl FnMut(u64) + Send + 'static,
    ) -> Self {
        let (link, frames): (_, Vec<_>) =
            (host.link().clone(), packets.iter().map(Packet::bytes).collect());
        let sent = Arc::new(AtomicU64::new(0));
        let (mut workers, counted) = (Workers::default(), Arc::clone(&sent));
        let mut place = 0;
        let mut open = Some(host.port());
        workers.spawn(move || {
            let turn: Vec<_> =
                frames.iter().map(Vec::as_slice).cycle().skip(place).take(batch).collect();
            match open.as_ref().map(|port| port.try_send_all(&turn)) {
                Some(Ok(count)) => {
                    place = (place + count) % frames.len();
                    counted.fetch_add(u64::try_from(count).expect("a small number"), SeqCst);
                }
                Some(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => sleep(PAUSE),
                Some(Err(_)) | None => {
                    sleep(PAUSE);
                    open = RawPort::try_open(&link).ok();
                }
            }
            wait(counted.load(SeqCst));
            true
        });
        Self { begun: Instant::now(), sent, workers }
    }

    /// How many were sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(SeqCst)
    }

    /// How many were sent a second so far.
    pub fn rate(&self) -> u64 {
        let nanoseconds = self.begun.elapsed().as_nanos().max(1);
        let rate = u128::from(self.sent()) * 1_000_000_000 / nanoseconds;
        u64::try_from(rate).expect("no such rate")
    }

    /// Ends it. How many were sent.
    pub fn end(mut self) -> u64 {
        self.workers.end();
        self.sent()
    }
}

/// What comes from a wire does not either: this thread gets the daemon's priority.
fn wait_for_no_processor() {
    // SAFETY: no pointers.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -15) };
}

/// Looks for frames that hold a word.
#[derive(Debug)]
pub struct Watch {
    seen: Arc<AtomicU64>,
    workers: Workers,
}

impl Watch {
    /// Counts the frames that `host` receives and that hold `word`.
    pub fn start(host: &Host, word: &'static [u8]) -> Self {
        let (port, seen) = (host.port(), Arc::new(AtomicU64::new(0)));
        let (mut workers, counted) = (Workers::default(), Arc::clone(&seen));
        workers.spawn(move || {
            let holds = |frame: &[u8]| frame.windows(word.len()).any(|part| part == word);
            if port.receive_where(TURN, holds).is_some() {
                counted.fetch_add(1, SeqCst);
            }
            true
        });
        Self { seen, workers }
    }

    /// How many it has seen so far.
    pub fn seen(&self) -> u64 {
        self.seen.load(SeqCst)
    }

    /// How many it saw until half a turn after now.
    pub fn end(mut self) -> u64 {
        sleep(TURN);
        self.workers.end();
        self.seen()
    }
}
