//! Real DICOM: images made on the fly, and dcmtk's services and clients.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use super::interrupt;
use super::lab::{Host, Lab};
use super::namespace::Namespace;
use super::process::{Said, Service, finish};

/// The PACS' ports, as the policy names them.
pub(super) const IMAGES: u16 = 104;
pub(super) const STUDIES: u16 = 11112;
pub(super) const URGENT: u16 = 2762;

const PATIENCE: Duration = Duration::from_secs(30);
/// A CT slice is 512 x 512 pixels of 16 bits.
const SIDE: u16 = 512;

/// The archive's three storage services.
pub(super) fn serve(lab: &Lab) -> Result<()> {
    fs::create_dir(archive(lab))?;
    for port in [IMAGES, STUDIES, URGENT] {
        let mut command = lab.pacs.namespace.command("storescp");
        command.args(["--fork", "--aetitle", "PACS", "--output-directory"]).arg(archive(lab));
        if port != IMAGES {
            // Without end, so they are received and not stored.
            command.arg("--ignore");
        }
        command.arg(port.to_string());
        let log = lab.directory().join(format!("storescp-{port}.log"));
        let mut service = Service::start(command, &log)?;
        wait_for(&lab.pacs.namespace, port)?
            .with_context(|| format!("storescp does not serve:\n{}", service.log()))?;
        service.is_running()?;
    }
    Ok(())
}

/// Waits until somebody listens.
pub(super) fn wait_for(namespace: &Namespace, port: u16) -> Result<Option<Duration>> {
    interrupt::until(PATIENCE, || Ok(!sockets(namespace, "listening", port)?.is_empty()))
}

fn archive(lab: &Lab) -> PathBuf {
    lab.directory().join("archive")
}

/// How many images lie in the archive, and how many bytes they have.
pub(super) fn archived(lab: &Lab) -> Result<(usize, u64)> {
    let entries = fs::read_dir(archive(lab))?.flatten();
    let sizes: Vec<u64> = entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).collect();
    Ok((sizes.len(), sizes.iter().sum()))
}

/// How many bytes have arrived at the archive's port, says the archive's kernel, over associations
/// that are open.
pub(super) fn arrived(lab: &Lab, port: u16) -> Result<u64> {
    let said = sockets(&lab.pacs.namespace, "established", port)?;
    let counts = said.split_whitespace().filter_map(|word| word.strip_prefix("bytes_received:"));
    counts.map(|count| Ok(count.parse::<u64>()?)).sum()
}

fn sockets(namespace: &Namespace, state: &str, port: u16) -> Result<String> {
    let mut command = namespace.command("ss");
    command.args(["-tinH", "state", state, "sport", "=", &format!(":{port}")]);
    finish(command, PATIENCE)?.or_fail("ss")
}

/// C-ECHO: is there a DICOM service that answers?
pub(super) fn echo(host: &Host, pacs: &Host, port: u16) -> Result<Said> {
    let mut command = host.namespace.command("echoscu");
    command.args(["--timeout", "2", "--acse-timeout", "2", "--dimse-timeout", "2"]);
    command.args(["--aetitle", "CT1", "--call", "PACS", pacs.address, &port.to_string()]);
    finish(command, PATIENCE)
}

/// C-STORE of these images.
pub(super) fn store(host: &Host, pacs: &Host, port: u16, images: &[PathBuf]) -> Result<Said> {
    finish(sender(host, pacs, port, images, 1), PATIENCE)
}

/// C-STORE of one image again and again, as a long study would be.
pub(super) fn stream(lab: &Lab, port: u16, image: &Path) -> Result<Service> {
    let command = sender(&lab.ct, &lab.pacs, port, &[image.to_owned()], 10_000_000);
    Service::start(command, &lab.directory().join(format!("storescu-{port}.log")))
}

fn sender(host: &Host, pacs: &Host, port: u16, images: &[PathBuf], repeat: u32) -> Command {
    let mut command = host.namespace.command("storescu");
    command.args(["--timeout", "2", "--socket-timeout", "0", "--repeat", &repeat.to_string()]);
    command.args(["--required", "--aetitle", "CT1", "--call", "PACS"]);
    command.args([pacs.address, &port.to_string()]).args(images);
    command
}

/// Makes a series of CT images of a round phantom.
pub(super) fn make_images(directory: &Path, count: u16) -> Result<Vec<PathBuf>> {
    let directory = directory.join("images");
    fs::create_dir(&directory)?;
    // An UID made from a number: DICOM PS3.5, B.2.
    let uid = format!("2.25.{}", SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos());
    (1..=count).map(|number| make_image(&directory, &uid, number)).collect()
}

fn make_image(directory: &Path, uid: &str, number: u16) -> Result<PathBuf> {
    let pixels = directory.join(format!("{number}.raw"));
    fs::write(&pixels, phantom(number))?;
    let dump = directory.join(format!("{number}.dump"));
    fs::write(&dump, data_set(uid, number, &pixels)?)?;
    let image = directory.join(format!("{number}.dcm"));
    let mut command = Command::new("dump2dcm");
    command.arg("--write-xfer-little").arg(&dump).arg(&image);
    finish(command, PATIENCE)?.or_fail("dump2dcm")?;
    Ok(image)
}

/// A disc of water in air, with a denser core that moves from slice to slice.
fn phantom(number: u16) -> Vec<u8> {
    let (side, core) = (i32::from(SIDE), i32::from(number) * 40 + 120);
    let mut pixels = Vec::with_capacity(usize::from(SIDE) * usize::from(SIDE) * 2);
    for y in 0..side {
        for x in 0..side {
            let inside =
                |x0: i32, y0: i32, radius: i32| (x - x0).pow(2) + (y - y0).pow(2) < radius.pow(2);
            let value: u16 = match (inside(256, 256, 200), inside(core, 256, 40)) {
                (true, true) => 2024,
                (true, false) => 1024,
                (false, _) => 24,
            };
            pixels.extend(value.to_le_bytes());
        }
    }
    pixels
}

/// A CT image (DICOM PS3.3, A.3) as dump2dcm reads it.
fn data_set(uid: &str, number: u16, pixels: &Path) -> Result<String> {
    let number = number.to_string();
    let instance = format!("{uid}.2.{number}");
    let (study, series, side) = (format!("{uid}.1"), format!("{uid}.2"), SIDE.to_string());
    let position = format!("-128\\-128\\{number}");
    let elements = [
        ("0008,0008", "CS", "ORIGINAL\\PRIMARY\\AXIAL"),
        ("0008,0016", "UI", "1.2.840.10008.5.1.4.1.1.2"),
        ("0008,0018", "UI", &instance),
        ("0008,0020", "DA", "20260105"),
        ("0008,0030", "TM", "081500"),
        ("0008,0050", "SH", "A4711"),
        ("0008,0060", "CS", "CT"),
        ("0008,0070", "LO", "Phantom"),
        ("0008,0090", "PN", ""),
        ("0010,0010", "PN", "Phantom^Water"),
        ("0010,0020", "LO", "P0001"),
        ("0010,0030", "DA", ""),
        ("0010,0040", "CS", "O"),
        ("0018,0050", "DS", "1"),
        ("0018,0060", "DS", "120"),
        ("0020,000d", "UI", &study),
        ("0020,000e", "UI", &series),
        ("0020,0010", "SH", "1"),
        ("0020,0011", "IS", "1"),
        ("0020,0012", "IS", "1"),
        ("0020,0013", "IS", &number),
        ("0020,0032", "DS", &position),
        ("0020,0037", "DS", "1\\0\\0\\0\\1\\0"),
        ("0020,0052", "UI", &series),
        ("0028,0004", "CS", "MONOCHROME2"),
        ("0028,0030", "DS", "0.5\\0.5"),
        ("0028,1052", "DS", "-1024"),
        ("0028,1053", "DS", "1"),
    ];
    let numbers = [
        ("0028,0002", "1"),
        ("0028,0010", &*side),
        ("0028,0011", &side),
        ("0028,0100", "16"),
        ("0028,0101", "12"),
        ("0028,0102", "11"),
        ("0028,0103", "0"),
    ];
    let mut text = String::new();
    for (tag, kind, value) in elements {
        let (open, close) = if kind == "UI" { ("", "") } else { ("[", "]") };
        writeln!(text, "({tag}) {kind} {open}{value}{close}")?;
    }
    for (tag, value) in numbers {
        writeln!(text, "({tag}) US {value}")?;
    }
    writeln!(text, "(7fe0,0010) OW ={}", pixels.display())?;
    Ok(text)
}
