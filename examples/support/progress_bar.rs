//! Progress on a terminal; silent elsewhere.

use forecastle::core::{Progress, ProgressEvent};
use indicatif::{ProgressBar, ProgressStyle};

/// Draws a bar on standard error where that is a terminal.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{pos}/{len} {wide_bar} {msg:<48}") {
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
        // The steps of one of many fits carry a loss; they are told beside the count of fits.
        if let Some(loss) = event.loss {
            let (stage, done) = (event.stage, event.done);
            let validation = event.validation_loss.map(|v| format!(", held back {v:.3e}"));
            let validation = validation.unwrap_or_default();
            self.0.set_message(format!("{stage} {done}: loss {loss:.3e}{validation}"));
            return;
        }
        if let Some(total) = event.total {
            self.0.set_length(total);
        }
        self.0.set_position(event.done);
    }
}
