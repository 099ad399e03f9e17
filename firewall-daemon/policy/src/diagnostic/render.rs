//! Diagnostics as people read them.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Diagnostic, Severity, Span};
use crate::source::{SourceFile, Sources};

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without escape sequences.
    Plain,
    /// With ANSI colours.
    Coloured,
}

/// All of them, each followed by an empty line.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    };
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&renderer.render(&[group(diagnostic, sources)]));
        text.push_str("\n\n");
    }
    text
}

fn group<'a>(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Group<'a> {
    let Diagnostic { code, message, span, label, related, help } = diagnostic;
    let level = match code.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(message).id(code.name()));
    let label = label.as_deref();
    if let Some(window) = span.and_then(|span| Window::of(span, sources)) {
        group = group.element(window.snippet(AnnotationKind::Primary, label));
    }
    if let Some((span, label)) = related
        && let Some(window) = Window::of(*span, sources)
    {
        group = group.element(window.snippet(AnnotationKind::Context, Some(label)));
    }
    if let Some(help) = help {
        group = group.element(Level::HELP.message(help));
    }
    group
}

/// The one line that a span begins in: a snippet of a large file costs no more than one of a small
/// file.
struct Window<'a> {
    file: &'a SourceFile,
    number: usize,
    line: &'a str,
    marked: Range<usize>,
}

impl<'a> Window<'a> {
    fn of(span: Span, sources: &'a Sources) -> Option<Self> {
        let file = sources.files().get(span.file())?;
        let Range { start, end } = span.range();
        let before = file.text.get(..start)?;
        let first = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = file.text.get(first..)?.lines().next().unwrap_or_default();
        let start = (start - first).min(line.len());
        let end = end.saturating_sub(first).clamp(start, line.len());
        let number = 1 + before.bytes().filter(|&byte| byte == b'\n').count();
        Some(Self { file, number, line, marked: start..end })
    }

    fn snippet(self, kind: AnnotationKind, label: Option<&'a str>) -> Snippet<'a, Annotation<'a>> {
        Snippet::source(self.line)
            .line_start(self.number)
            .path(&self.file.name)
            .annotation(kind.span(self.marked).label(label))
    }
}
