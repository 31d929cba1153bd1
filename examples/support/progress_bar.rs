//! Progress on a terminal; silent elsewhere.

use forecastle::core::{Progress, ProgressEvent};
use indicatif::{ProgressBar, ProgressStyle};

/// Draws a bar on standard error where that is a terminal.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn update(&self, event: &ProgressEvent<'_>) {
        if let Some(total) = event.total {
            self.0.set_length(total);
        }
        self.0.set_message(event.stage.to_owned());
        self.0.set_position(event.done);
    }
}
