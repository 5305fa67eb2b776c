//! The measuring itself: every contender once per round, round after round.

use crate::measure::Cost;
use crate::rows::{Contender, Row};

/// What a contender has cost per operation, round by round.
pub struct Measured {
    pub name: &'static str,
    pub ours: bool,
    pub costs: Vec<Cost>,
}

impl Measured {
    pub fn cpu(&self) -> Vec<f64> {
        self.costs.iter().map(|cost| cost.cpu).collect()
    }

    pub fn wall(&self) -> Vec<f64> {
        self.costs.iter().map(|cost| cost.wall).collect()
    }

    pub fn sleeps(&self) -> Vec<f64> {
        self.costs.iter().map(|cost| cost.sleeps).collect()
    }
}

/// All rounds of a row: A B C A B C …, and every second one backwards, so that nobody always comes after the same.
pub fn row(
    row: &Row,
    wanted: impl Fn(&Contender) -> bool,
    rounds: usize,
    seconds: f64,
    ops: Option<u64>,
) -> Vec<Measured> {
    let contenders: Vec<_> = row.contenders.iter().filter(|contender| wanted(contender)).collect();
    let ops: Vec<_> =
        contenders.iter().map(|contender| ops.unwrap_or_else(|| fit(contender, seconds))).collect();
    let mut all: Vec<_> = contenders
        .iter()
        .map(|contender| Measured { name: contender.name, ours: contender.is_ours(), costs: Vec::new() })
        .collect();
    let mut order: Vec<_> = (0..all.len()).collect();
    for _ in 0..rounds {
        for &place in &order {
            let Cost { cpu, wall, sleeps } = (contenders[place].run)(ops[place]);
            let each = 1.0 / ops[place] as f64;
            all[place].costs.push(Cost { cpu: cpu * each, wall: wall * each, sleeps: sleeps * each });
        }
        order.reverse();
    }
    all
}

/// How many operations fit into the time.
fn fit(contender: &Contender, seconds: f64) -> u64 {
    let mut ops = 2_000;
    loop {
        let took = (contender.run)(ops).wall / 1e9;
        if took > seconds / 4.0 {
            let ops = (ops as f64 * seconds / took).ceil() as u64;
            return ops.next_multiple_of(1_000);
        }
        ops *= 4;
    }
}
