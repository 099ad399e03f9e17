//! HL7 version 2 over MLLP (HL7 implementation guide, appendix C): just enough to send a message
//! and to have it acknowledged.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// What MLLP listeners listen on.
pub(super) const PORT: u16 = 2575;

const START: u8 = 0x0b;
const END: u8 = 0x1c;
const PATIENCE: Duration = Duration::from_secs(3);
/// No message here is longer.
const LONGEST: u64 = 64 * 1024;

/// Acknowledges every message, for ever.
pub(super) fn listen() -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).context("cannot listen")?;
    for stream in listener.incoming() {
        // Somebody who hangs up or talks nonsense does not end the service.
        if let Err(error) = stream.map_err(Into::into).and_then(|stream| answer(&stream)) {
            eprintln!("{error:#}");
        }
    }
    Ok(())
}

fn answer(stream: &TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let message = receive(stream)?;
    println!("{}", message.replace('\r', "\n"));
    let id = field(&message, "MSH", 9).context("a message without a control id")?;
    send(
        stream,
        &format!("MSH|^~\\&|RIS|HOSPITAL|||20260105081501||ACK|A{id}|P|2.5\rMSA|AA|{id}\r"),
    )
}

/// Sends a result and returns the acknowledgement's code and the id that it is for.
pub(super) fn report(to: IpAddr, id: &str) -> Result<(String, String)> {
    let stream = TcpStream::connect_timeout(&SocketAddr::new(to, PORT), PATIENCE)
        .context("the RIS cannot be reached")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let message = format!(
        "MSH|^~\\&|WORKSTATION1|RADIOLOGY|RIS|HOSPITAL|20260105081500||ORU^R01|{id}|P|2.5\r\
         PID|1||P0001||Phantom^Water\r\
         OBR|1|A4711||CT^Computed tomography\r\
         OBX|1|TX|CT||No fracture.||||||F\r"
    );
    send(&stream, &message)?;
    let answer = receive(&stream).context("the RIS does not answer")?;
    let part = |index| field(&answer, "MSA", index).map(str::to_owned);
    part(1).zip(part(2)).context("the RIS' answer is no acknowledgement")
}

fn send(mut stream: &TcpStream, message: &str) -> Result<()> {
    let frame = [&[START], message.as_bytes(), &[END, b'\r']].concat();
    Ok(stream.write_all(&frame)?)
}

fn receive(stream: &TcpStream) -> Result<String> {
    let mut frame = Vec::new();
    BufReader::new(stream.take(LONGEST)).read_until(END, &mut frame)?;
    let message = frame.strip_prefix(&[START]).and_then(|frame| frame.strip_suffix(&[END]));
    Ok(String::from_utf8(message.context("this is not MLLP")?.to_vec())?)
}

/// A field of the first segment of that name, counted as HL7 does, except that in MSH the separator
/// itself is field 1 for HL7 and no field here.
fn field<'a>(message: &'a str, segment: &str, index: usize) -> Option<&'a str> {
    let mut segments = message.split('\r').map(|segment| segment.split('|'));
    segments.find_map(|mut fields| (fields.next()? == segment).then(|| fields.nth(index - 1))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_in_their_segment() {
        let message = "MSH|^~\\&|A|B|C|D|T||ORU^R01|4711|P|2.5\rMSA|AA|4711\r";
        assert_eq!(field(message, "MSH", 9), Some("4711"));
        assert_eq!(field(message, "MSA", 1), Some("AA"));
        assert_eq!(field(message, "MSA", 9), None);
        assert_eq!(field(message, "PID", 1), None);
    }
}
