//! The progress bars on standard error.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::stats::{PerSide, Side};

/// One bar for the whole run, and one for the round. They draw nothing when
/// standard error is no terminal, or when asked to be quiet.
pub(crate) struct Progress {
    whole: ProgressBar,
    round: ProgressBar,
    rounds: u32,
    per_round: u64,
}

impl Progress {
    pub(crate) fn new(
        quiet: bool,
        seconds: f64,
        programs: usize,
        sides: &PerSide<bool>,
        rounds: u32,
    ) -> Progress {
        let per_round = programs as u64 * (u64::from(sides.proactor) + u64::from(sides.selector));
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bars = MultiProgress::with_draw_target(target);
        let bar = |length, template: &str| {
            let style = ProgressStyle::with_template(template).expect("the template is fixed");
            bars.add(ProgressBar::new(length)).with_style(style.progress_chars("━╸─"))
        };
        let whole = bar(
            per_round * u64::from(rounds),
            &format!("measuring  {{bar:36.cyan/dim}} {{elapsed}} of about {seconds:.0}s"),
        );
        let round = bar(per_round, "{prefix:<10} {bar:36.blue/dim} {msg}");
        // Seldom: the redrawing is a disturbance too.
        whole.tick();
        whole.enable_steady_tick(Duration::from_millis(500));
        Progress { whole, round, rounds, per_round }
    }

    /// A measurement begins.
    pub(crate) fn begin(&mut self, round: u32, program: &str, side: Side) {
        if self.round.position() == self.per_round {
            self.round.set_position(0);
        }
        self.round.set_prefix(format!("round {}/{}", round + 1, self.rounds));
        self.round.set_message(format!("{program} on the {}", side.name()));
    }

    /// A measurement has ended.
    pub(crate) fn end(&mut self) {
        self.round.inc(1);
        self.whole.inc(1);
    }

    /// Clears the bars away.
    pub(crate) fn finish(self) {
        self.round.finish_and_clear();
        self.whole.finish_and_clear();
    }
}
