//! What is said after the TLS handshake: one JSON object a line.
//!
//! The node says [`FromNode::Hello`] once and [`FromNode::Renew`] before its lease ends; the gateway
//! answers each with one [`FromGateway`]. The end of the connection ends nothing, a
//! [`FromNode::Bye`] does.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What both sides offer as their application protocol (RFC 7301), and insist on.
pub const ALPN: &[u8] = b"cordon-lease/1";

/// The longest line in bytes, its end included.
pub const LONGEST: usize = 512;

/// What a node says. Of a variant without braces serde would not refuse unknown fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FromNode {
    /// I am this one of the names in my certificate.
    Hello {
        /// A DNS name.
        identity: String,
    },
    /// I am still here.
    Renew {},
    /// I leave.
    Bye {},
}

/// What the gateway answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FromGateway {
    /// You may speak.
    Lease {
        /// For so long, from now on.
        seconds: u32,
    },
    /// You may not.
    Refused {
        /// Why, in a word.
        reason: String,
    },
}

/// A line, with its end.
///
/// # Errors
/// Never, as far as these types go.
pub fn encode(what: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    Ok(line)
}

/// What a line says, with or without its end.
///
/// # Errors
/// If it is none of these types.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_as_it_was_written() {
        let hello = FromNode::Hello { identity: "ws-1.radiology.example".to_owned() };
        for said in [hello, FromNode::Renew {}, FromNode::Bye {}] {
            assert_eq!(decode::<FromNode>(&encode(&said).unwrap()).unwrap(), said);
        }
        let lease = FromGateway::Lease { seconds: 60 };
        assert_eq!(encode(&lease).unwrap(), b"{\"say\":\"lease\",\"seconds\":60}\n");
        for line in ["", "{}", "{\"say\":\"renew\",\"seconds\":1}", "{\"say\":\"hello\"}"] {
            assert!(decode::<FromNode>(line.as_bytes()).is_err(), "{line}");
        }
    }
}
