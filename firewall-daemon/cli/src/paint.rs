//! Colours, where somebody sees them and wants them (<https://no-color.org>).

use std::env;
use std::fmt::Display;

use clap::builder::styling::{AnsiColor, Style};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    colours: bool,
}

/// What a word is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    #[default]
    Plain,
    Bold,
    Dim,
    Good,
    Warn,
    Bad,
}

impl Paint {
    pub(crate) fn new(is_terminal: bool) -> Self {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Self { colours: is_terminal && !unwanted }
    }

    #[cfg(test)]
    pub(crate) const fn plain() -> Self {
        Self { colours: false }
    }

    pub(crate) const fn colours(self) -> bool {
        self.colours
    }

    pub(crate) fn tone(self, tone: Tone, text: impl Display) -> String {
        if !self.colours {
            return text.to_string();
        }
        let style = match tone {
            Tone::Plain => return text.to_string(),
            Tone::Bold => Style::new().bold(),
            Tone::Dim => Style::new().dimmed(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Warn => AnsiColor::Yellow.on_default().bold(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
        };
        format!("{style}{text}{style:#}")
    }

    pub(crate) fn bold(self, text: impl Display) -> String {
        self.tone(Tone::Bold, text)
    }

    pub(crate) fn bad(self, text: impl Display) -> String {
        self.tone(Tone::Bad, text)
    }
}
