//! `[application.NAME]`

use std::sync::Arc;

use super::{Resolver, What, owned, values};
use crate::diagnostic::{Code, Diagnostic, quote};
use crate::model::{Application, PortRange};
use crate::spec::{ApplicationSpec, Texts};

impl<'s> Resolver<'s> {
    pub(super) fn application(&mut self, spec: &'s ApplicationSpec<'s>) {
        let ApplicationSpec { name, description, tcp, udp, icmp, is_empty } = spec;
        self.accept(Code::InvalidName, name.span, values::name(&name.value));
        let index = self.applications.len();
        let is_new = self.define(What::Application, index, name);
        if *is_empty {
            let message = format!("the application {} names no port", quote(&name.value));
            self.report(
                Diagnostic::at(Code::EmptyApplication, name.span, message)
                    .help("give it `tcp`, `udp` or `icmp`"),
            );
        }
        let [tcp, udp] = [tcp, udp].map(|texts| self.port_ranges(texts.as_ref()));
        let echo = self.echo(icmp.as_ref());
        // Of two with one name, rules use the first: the second is wrong enough.
        self.is_application_used.push(!is_new);
        self.applications.push(Application {
            name: Arc::from(&*name.value),
            description: owned(description.as_ref()),
            tcp,
            udp,
            echo,
            span: name.span,
        });
    }

    fn port_ranges(&mut self, texts: Option<&'s Texts<'s>>) -> Vec<PortRange> {
        let mut ranges = Vec::new();
        for text in self.distinct(texts) {
            ranges.extend(self.accept(Code::InvalidPorts, text.span, values::ports(&text.value)));
        }
        values::merge(ranges)
    }

    fn echo(&mut self, texts: Option<&'s Texts<'s>>) -> bool {
        let mut echo = false;
        for text in self.distinct(texts) {
            if text.value == "echo" {
                echo = true;
                continue;
            }
            let message =
                format!("applications cannot name the ICMP message {}", quote(&text.value));
            self.report(
                Diagnostic::at(Code::UnknownIcmp, text.span, message)
                    .help("only `echo`; errors about allowed traffic come back by themselves"),
            );
        }
        echo
    }
}
