//! A bar for each runtime, with its middle half.

use std::error::Error;
use std::io;

use plotters::prelude::*;

use super::figures;
use crate::rounds::Row;
use crate::stats::Spread;

const WIDTH: u32 = 860;
const BAR: u32 = 26;

/// An SVG of the row's figures.
pub fn bars(row: &Row) -> io::Result<String> {
    let bars: Vec<(&str, Spread)> = row
        .cells
        .iter()
        .filter(|cell| cell.reason.is_none())
        .filter_map(|cell| {
            Some((&*cell.runtime, Spread::of(figures(cell, row.workload).into_iter().flatten())?))
        })
        .collect();
    let mut svg = String::new();
    if !bars.is_empty() {
        draw(&bars, &mut svg).map_err(|error| io::Error::other(error.to_string()))?;
    }
    Ok(svg)
}

fn draw(bars: &[(&str, Spread)], svg: &mut String) -> Result<(), Box<dyn Error>> {
    let height = BAR * bars.len() as u32 + 40;
    let area = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
    let far = bars.iter().map(|(_, spread)| spread.high).fold(0.0, f64::max) * 1.05;
    let count = bars.len();
    let mut chart = ChartBuilder::on(&area)
        .set_label_area_size(LabelAreaPosition::Left, 100)
        .set_label_area_size(LabelAreaPosition::Bottom, 30)
        .build_cartesian_2d(0.0..far, (0..count).into_segmented())?;
    let name = |place: &SegmentValue<usize>| match place {
        SegmentValue::CenterOf(index) => {
            bars.get(count.wrapping_sub(index + 1)).map_or("", |bar| bar.0).to_owned()
        }
        _ => String::new(),
    };
    let mesh = &mut chart.configure_mesh();
    mesh.disable_y_mesh().y_labels(count).y_label_formatter(&name).draw()?;
    let place = |index: usize| SegmentValue::CenterOf(count - 1 - index);
    for (index, (name, spread)) in bars.iter().enumerate() {
        let color = match *name {
            "proactor" | "selector" => GREEN.mix(0.6),
            name if name.starts_with("bare") => BLACK.mix(0.35),
            _ => BLUE.mix(0.45),
        };
        let line = |from: f64, to: f64, style: ShapeStyle| {
            PathElement::new(vec![(from, place(index)), (to, place(index))], style)
        };
        chart.draw_series([line(0.0, spread.median, color.stroke_width(BAR - 8))])?;
        chart.draw_series([line(spread.low, spread.high, BLACK.stroke_width(2))])?;
    }
    area.present()?;
    Ok(())
}
