//! What an Accounting-Request says, attribute by attribute.

use std::net::IpAddr;
use std::time::Duration;

use super::Refusal;
use super::packet::{Attribute, Packet, kind};

/// Acct-Status-Type (RFC 2866, 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Start,
    Stop,
    Interim,
    /// Accounting-On or Accounting-Off.
    Restart,
}

/// The attributes that matter, each with the length and the characters that it may have.
#[derive(Debug, Default)]
pub(super) struct Request<'a> {
    status: Option<u32>,
    pub(super) user: Option<&'a str>,
    pub(super) station: Option<&'a str>,
    pub(super) id: Option<&'a str>,
    pub(super) nas: Option<&'a str>,
    pub(super) nas_address: Option<IpAddr>,
    pub(super) port: Option<u32>,
    pub(super) port_id: Option<&'a str>,
    pub(super) class: Vec<Vec<u8>>,
    pub(super) interim: Option<Duration>,
    /// How long the client has been trying to say it.
    pub(super) delay: Option<Duration>,
    /// When it happened, in seconds since 1970.
    pub(super) timestamp: Option<u32>,
    /// How long the session has lasted.
    pub(super) session_time: Option<u32>,
    pub(super) cause: Option<u32>,
    pub(super) message_authenticator: Option<Attribute<'a>>,
}

impl<'a> Request<'a> {
    pub(super) fn read(packet: &Packet<'a>) -> Result<Self, Refusal> {
        let mut request = Self::default();
        for attribute in packet.attributes() {
            let value = attribute.value;
            match attribute.kind {
                kind::ACCT_STATUS_TYPE => once(&mut request.status, number(value)?)?,
                kind::USER_NAME => once(&mut request.user, text(value)?)?,
                kind::CALLING_STATION_ID => once(&mut request.station, text(value)?)?,
                kind::ACCT_SESSION_ID => once(&mut request.id, text(value)?)?,
                kind::NAS_IDENTIFIER => once(&mut request.nas, text(value)?)?,
                kind::NAS_IP_ADDRESS => {
                    // A client with both says the IPv6 one last or first; either will do.
                    request.nas_address = Some(IpAddr::from(bytes::<4>(value)?));
                }
                kind::NAS_IPV6_ADDRESS => {
                    request.nas_address = Some(IpAddr::from(bytes::<16>(value)?));
                }
                kind::NAS_PORT => once(&mut request.port, number(value)?)?,
                kind::NAS_PORT_ID => once(&mut request.port_id, text(value)?)?,
                kind::CLASS => request.class.push(value.to_owned()),
                kind::ACCT_INTERIM_INTERVAL => once(&mut request.interim, seconds(value)?)?,
                kind::ACCT_DELAY_TIME => once(&mut request.delay, seconds(value)?)?,
                kind::EVENT_TIMESTAMP => once(&mut request.timestamp, number(value)?)?,
                kind::ACCT_SESSION_TIME => once(&mut request.session_time, number(value)?)?,
                kind::ACCT_TERMINATE_CAUSE => once(&mut request.cause, number(value)?)?,
                kind::MESSAGE_AUTHENTICATOR => {
                    once(&mut request.message_authenticator, attribute)
                        .map_err(|_| Refusal::MessageAuthenticator)?;
                }
                _ => {}
            }
        }
        Ok(request)
    }

    pub(super) fn status(&self) -> Result<Status, Refusal> {
        match self.status.ok_or(Refusal::MissingAttribute)? {
            1 => Ok(Status::Start),
            2 => Ok(Status::Stop),
            3 => Ok(Status::Interim),
            7 | 8 => Ok(Status::Restart),
            _ => Err(Refusal::Status),
        }
    }
}

/// Of two values a reader would have to guess which one counts.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Refusal> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::Attribute),
    }
}

fn bytes<const N: usize>(value: &[u8]) -> Result<[u8; N], Refusal> {
    value.try_into().map_err(|_| Refusal::Attribute)
}

fn number(value: &[u8]) -> Result<u32, Refusal> {
    bytes(value).map(u32::from_be_bytes)
}

fn seconds(value: &[u8]) -> Result<Duration, Refusal> {
    number(value).map(|seconds| Duration::from_secs(u64::from(seconds)))
}

/// What is shown to people must not be able to write on their terminals.
fn text(value: &[u8]) -> Result<&str, Refusal> {
    let text = str::from_utf8(value).map_err(|_| Refusal::Attribute)?;
    if text.chars().any(char::is_control) { Err(Refusal::Attribute) } else { Ok(text) }
}
