//! hostapd's control socket and the port's carrier, for [`Dot1x`].

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use tokio::net::UnixDatagram;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Dot1x;
use crate::auth::{Claim, Source};
use crate::dataplane::clock::monotonic;
use crate::dataplane::watch::{PORTS, Watch};

/// Between two tries to reach a hostapd that is not there.
const RETRY: Duration = Duration::from_millis(300);
/// hostapd's answers have at most 4,096 bytes.
const LONGEST: usize = 8192;

/// Where hostapd is, and where it answers to.
#[derive(Clone, Debug)]
pub struct Place {
    /// What it is called in claims.
    pub source: Source,
    /// Its control socket.
    pub socket: PathBuf,
    /// Ours.
    pub own: PathBuf,
    /// The port's interface.
    pub interface: String,
}

/// Follows a hostapd, and every one that comes after it, until nobody wants to know.
pub async fn follow(place: Place, claims: mpsc::Sender<Claim>) {
    let mut machine = Dot1x::new(place.source);
    loop {
        let ended = converse(&place, &mut machine, &claims).await;
        if let Err(error) = ended {
            tracing::debug!(%error, socket = %place.socket.display(), "no hostapd");
        }
        machine.lost();
        if say(&mut machine, &claims).await.is_err() {
            return;
        }
        sleep(RETRY).await;
    }
}

/// Until hostapd or the listener is gone.
async fn converse(
    place: &Place,
    machine: &mut Dot1x,
    claims: &mpsc::Sender<Claim>,
) -> io::Result<()> {
    let socket = connect(&place.own, &place.socket)?;
    let watch = Watch::open(PORTS)?;
    machine.connected(monotonic());
    let mut has_carrier = carries(&place.interface)?;
    let mut datagram = vec![0; LONGEST];
    while machine.is_connected() {
        machine.pass(monotonic());
        while let Some(text) = machine.poll_transmit(monotonic()) {
            socket.send(text.as_bytes()).await?;
        }
        say(machine, claims).await?;
        let next = machine.poll_timeout().map(|at| at.saturating_sub(monotonic()));
        tokio::select! {
            received = socket.recv(&mut datagram) => {
                let length = received?;
                machine.received(datagram.get(..length).unwrap_or_default(), monotonic());
            }
            changed = watch.changed() => {
                changed?;
                let carries = carries(&place.interface)?;
                if has_carrier && !carries {
                    machine.carrier_lost();
                }
                has_carrier = carries;
            }
            () = sleep(next.unwrap_or(RETRY)) => {}
        }
    }
    Ok(())
}

async fn say(machine: &mut Dot1x, claims: &mpsc::Sender<Claim>) -> io::Result<()> {
    while let Some(claim) = machine.poll_claim() {
        claims.send(claim).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
    }
    Ok(())
}

fn connect(own: &Path, hostapd: &Path) -> io::Result<UnixDatagram> {
    // What a daemon that was killed has left.
    let _ = std::fs::remove_file(own);
    let socket = UnixDatagram::bind(own)?;
    socket.connect(hostapd)?;
    Ok(socket)
}

fn carries(interface: &str) -> io::Result<bool> {
    let mut all = getifaddrs()?;
    let found = all.find(|address| address.interface_name == interface);
    Ok(found.is_some_and(|address| address.flags.contains(InterfaceFlags::IFF_RUNNING)))
}
