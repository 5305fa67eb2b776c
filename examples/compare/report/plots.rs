//! How the plots are drawn: rows of marks on a logarithmic axis.
//!
//! Every row carries its numbers at its right end, so that a plot can be read
//! like a table as well. The two sides differ in shape as well as in colour.

use std::ops::Range;

use plotters::{
    chart::{ChartBuilder, ChartContext},
    coord::{
        Shift,
        ranged1d::{DefaultFormatting, KeyPointHint, Ranged},
        types::RangedCoordf64,
    },
    element::{Circle, PathElement, Rectangle, Text},
    prelude::{Cartesian2d, DrawingArea, IntoDrawingArea, SVGBackend},
    style::{
        Color, FontStyle, FontTransform, IntoFont, RGBColor, ShapeStyle, TextStyle, WHITE,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{format, html::escape};
use crate::{failure::Failure, stats::Side};

/// Where things are, for a screen of its width. Text is drawn in the size in which it is to be read: a plot is not scaled
/// down, it is drawn again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    width: i32,
    left: u32,
    /// The edge beside the outermost text.
    margin: i32,
    /// Of a column of numbers, and how many of them there is room for: the last ones.
    column: i32,
    columns: usize,
    title: u32,
    text: u32,
    /// A legend below one another instead of side by side.
    is_legend_stacked: bool,
    /// Ticks between the decades.
    is_axis_dense: bool,
}

pub(crate) const WIDE: Layout = Layout {
    width: 980,
    left: 142,
    margin: 16,
    column: 92,
    columns: 3,
    title: 25,
    text: 17,
    is_legend_stacked: false,
    is_axis_dense: true,
};

/// For a telephone, and a narrow column of text.
pub(crate) const NARROW: Layout = Layout {
    width: 370,
    left: 106,
    margin: 4,
    column: 76,
    columns: 1,
    title: 19,
    text: 16,
    is_legend_stacked: true,
    is_axis_dense: false,
};

const BOTTOM: u32 = 62;
const LEGEND_LINE: u32 = 22;

/// Colours for the dark, in the place of those that are drawn.
const DARK: [(&str, &str); 8] = [
    ("#FFFFFF", "#15191d"),
    ("#22282E", "#e4e8eb"),
    ("#5C6670", "#a3adb6"),
    ("#E1E5E9", "#343b42"),
    ("#868E96", "#98a1a9"),
    ("#0072B2", "#53b4f0"),
    ("#D55E00", "#ff8b45"),
    ("#000000", "#e4e8eb"),
];

const INK: RGBColor = RGBColor(0x22, 0x28, 0x2e);
const FAINT: RGBColor = RGBColor(0x5c, 0x66, 0x70);
const GRID: RGBColor = RGBColor(0xe1, 0xe5, 0xe9);

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, RangedCoordf64>>;

/// The axis of the values: linear in their decimal logarithms, with ticks where
/// a person would put them.
struct Axis {
    line: RangedCoordf64,
    ticks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn range(&self) -> Range<f64> {
        self.line.range()
    }

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.line.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.clone()
    }
}

/// The two colours, from a palette that colour-blind readers can tell apart.
pub(crate) fn colour(side: Side) -> RGBColor {
    match side {
        Side::Proactor => RGBColor(0x00, 0x72, 0xb2),
        Side::Selector => RGBColor(0xd5, 0x5e, 0x00),
    }
}

/// One plot, ready to be drawn.
pub(crate) struct Plot {
    pub(crate) title: String,
    /// What the axis shows, with its unit, and which direction is better.
    pub(crate) axis: String,
    pub(crate) better: &'static str,
    /// The legend: a mark and its meaning.
    pub(crate) legend: Vec<(Mark, &'static str)>,
    /// The headings over the numbers at the right; each gets 92 pixels.
    pub(crate) columns: Vec<(String, RGBColor)>,
    pub(crate) rows: Vec<Row>,
    pub(crate) row_height: u32,
    /// Smaller values are drawn at this one.
    pub(crate) floor: f64,
    /// A value that gets a bold line, and what its two sides mean.
    pub(crate) middle: Option<(f64, [&'static str; 2])>,
    pub(crate) show: fn(f64) -> String,
}

/// A row: its name, its marks, and its numbers in the columns.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) marks: Vec<(f64, Mark)>,
    /// Lines behind the marks, with ends where the last field says so.
    pub(crate) spans: Vec<Span>,
    pub(crate) numbers: Vec<String>,
    /// A row that belongs to the one above it has no line above it.
    pub(crate) continued: bool,
}

pub(crate) struct Span {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) colour: RGBColor,
    pub(crate) width: u32,
    pub(crate) capped: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Mark {
    Disc(RGBColor),
    Square(RGBColor),
    Ring(RGBColor),
    Frame(RGBColor),
}

impl Mark {
    /// The mark of a side.
    pub(crate) fn of(side: Side) -> Mark {
        match side {
            Side::Proactor => Mark::Disc(colour(side)),
            Side::Selector => Mark::Square(colour(side)),
        }
    }

    /// The hollow mark of a side.
    pub(crate) fn hollow(side: Side) -> Mark {
        match side {
            Side::Proactor => Mark::Ring(colour(side)),
            Side::Selector => Mark::Frame(colour(side)),
        }
    }
}

impl Plot {
    /// The plot as an SVG document with a title for screen readers.
    pub(crate) fn svg(&self, layout: Layout) -> Result<String, Failure> {
        let mut svg = String::new();
        self.draw(layout, &mut svg)
            .map_err(|error| Failure::Broken(format!("drawing a plot failed: {error}")))?;
        let title = escape(&format!("{}: {}", self.title, self.better));
        let open = svg.find("<svg").and_then(|at| Some(at + svg[at..].find('>')? + 1));
        if let Some(after) = open {
            svg.insert_str(after, &format!("\n<title>{title}</title>\n{}", dark_style()));
        }
        Ok(svg.replacen("<svg ", "<svg role=\"img\" ", 1))
    }

    /// Above the rows: the title, what is better, the legend, and the heads of the columns.
    fn top(&self, layout: Layout) -> u32 {
        let lines = if layout.is_legend_stacked { self.legend.len() as u32 } else { 1 };
        96 + LEGEND_LINE * lines
    }

    fn columns(&self, layout: Layout) -> usize {
        self.columns.len().min(layout.columns)
    }

    fn right(&self, layout: Layout) -> i32 {
        layout.column * self.columns(layout) as i32 + layout.margin
    }

    fn height(&self, layout: Layout) -> u32 {
        self.top(layout) + self.rows.len() as u32 * self.row_height + BOTTOM
    }

    fn draw(&self, layout: Layout, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let Layout { margin, text, .. } = layout;
        let size = (layout.width as u32, self.height(layout));
        let canvas = SVGBackend::with_string(svg, size).into_drawing_area();
        canvas.fill(&WHITE)?;
        let title = match self.title.split_once(':') {
            Some((quantity, _)) if layout.is_legend_stacked => format!("{quantity}: ratio"),
            _ => self.title.clone(),
        };
        write(&canvas, (margin, 26), &title, layout.title, INK, HPos::Left, true)?;
        write(&canvas, (margin, 53), self.better, text, FAINT, HPos::Left, false)?;
        self.draw_legend(layout, &canvas)?;

        let mut chart = ChartBuilder::on(&canvas)
            .margin_top(self.top(layout))
            .margin_right(self.right(layout) as u32)
            .margin_bottom(8)
            .set_label_area_size(plotters::chart::LabelAreaPosition::Left, layout.left)
            .set_label_area_size(plotters::chart::LabelAreaPosition::Bottom, BOTTOM - 8)
            .build_cartesian_2d(self.axis(layout), self.rows.len() as f64..0.0)?;
        let show = self.show;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(WHITE.mix(0.0))
            .bold_line_style(GRID)
            .axis_style(FAINT)
            .x_labels(32)
            .x_label_formatter(&|at| format::tick(&show(10f64.powf(*at))))
            .x_label_style(("sans-serif", text - 1).into_font().color(&INK))
            .draw()?;
        let below = (layout.width / 2, self.height(layout) as i32 - 12);
        write(&canvas, below, &self.axis, text, INK, HPos::Center, false)?;
        for (index, _) in self.rows.iter().enumerate().filter(|(_, row)| !row.continued) {
            let (_, top) = chart.backend_coord(&(0.0, index as f64));
            let line = vec![(margin, top), (layout.width - margin, top)];
            canvas.draw(&PathElement::new(line, GRID))?;
        }
        self.draw_middle(layout, &canvas, &mut chart)?;
        let heads = &self.columns[self.columns.len() - self.columns(layout)..];
        for (index, (name, colour)) in heads.iter().enumerate() {
            let at = (self.column_end(layout, index), self.top(layout) as i32 - 10);
            write(&canvas, at, name, text - 1, *colour, HPos::Right, true)?;
        }
        for (index, row) in self.rows.iter().enumerate() {
            self.draw_row(layout, &canvas, &chart, index as f64, row)?;
        }
        canvas.present()?;
        Ok(())
    }

    /// The right end of a column of numbers.
    fn column_end(&self, layout: Layout, index: usize) -> i32 {
        layout.width - self.right(layout) + layout.column * (index as i32 + 1)
    }

    fn draw_legend(&self, layout: Layout, canvas: &Canvas<'_>) -> Result<(), Box<dyn std::error::Error>> {
        let (mut x, mut y) = (layout.margin + 6, 80);
        for (mark, meaning) in &self.legend {
            draw_mark(canvas, (x, y), *mark)?;
            write(canvas, (x + 13, y), meaning, layout.text, INK, HPos::Left, false)?;
            if layout.is_legend_stacked {
                y += LEGEND_LINE as i32;
            } else {
                // The widths of letters are unknown here: allow for wide ones.
                x += 13 + 8 * meaning.chars().count() as i32 + 24;
            }
        }
        Ok(())
    }

    fn draw_middle(
        &self,
        layout: Layout,
        canvas: &Canvas<'_>,
        chart: &mut Chart<'_, '_>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let Some((value, [below, above])) = self.middle else {
            return Ok(());
        };
        let at = value.log10();
        chart.draw_series([PathElement::new(
            vec![(at, 0.0), (at, self.rows.len() as f64)],
            INK.stroke_width(2),
        )])?;
        if layout.is_legend_stacked {
            return Ok(()); // no room beside the line; the colours say it too
        }
        let (x, _) = chart.backend_coord(&(at, 0.0));
        let y = self.top(layout) as i32 - 10;
        write(canvas, (x - 10, y), below, 16, FAINT, HPos::Right, false)?;
        write(canvas, (x + 10, y), above, 16, FAINT, HPos::Left, false)
    }

    fn draw_row(
        &self,
        layout: Layout,
        canvas: &Canvas<'_>,
        chart: &Chart<'_, '_>,
        index: f64,
        row: &Row,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let place = |value: f64| chart.backend_coord(&(value.max(self.floor).log10(), index + 0.5));
        let (_, middle) = place(self.floor);
        write(canvas, (layout.margin, middle), &row.name, layout.text, INK, HPos::Left, false)?;
        for span in &row.spans {
            let (from, to) = (place(span.from), place(span.to));
            let style = span.colour.stroke_width(span.width);
            canvas.draw(&PathElement::new(vec![from, to], style))?;
            for (x, y) in [from, to].into_iter().filter(|_| span.capped) {
                canvas.draw(&PathElement::new(vec![(x, y - 5), (x, y + 5)], style))?;
            }
        }
        for (value, mark) in &row.marks {
            draw_mark(canvas, place(*value), *mark)?;
        }
        let numbers = &row.numbers[row.numbers.len() - self.columns(layout).min(row.numbers.len())..];
        for (column, number) in numbers.iter().enumerate() {
            let at = (self.column_end(layout, column), middle);
            write(canvas, at, number, layout.text - 1, INK, HPos::Right, false)?;
        }
        Ok(())
    }

    /// The axis: a tick for every decade, or every second one; and the more
    /// between them the fewer decades there are.
    fn axis(&self, layout: Layout) -> Axis {
        let marks = self.rows.iter().flat_map(|row| &row.marks).map(|mark| mark.0);
        let ends = self.rows.iter().flat_map(|row| &row.spans);
        let values = marks
            .chain(ends.flat_map(|span| [span.from, span.to]))
            .chain(self.middle.map(|middle| middle.0))
            .map(|value| value.max(self.floor).log10());
        let (mut low, mut high) =
            values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        // A quarter of a decade at the least, and room for the marks.
        let pad = ((high - low) * 0.05).max(0.12);
        (low, high) = (low - pad, high + pad);
        let steps: &[f64] = match high - low {
            wide if wide > 2.5 || !layout.is_axis_dense && wide > 1.8 => &[1.0],
            narrow if !layout.is_axis_dense && (0.45..0.8).contains(&narrow) => &[1.0, 1.5, 2.0, 3.0, 5.0],
            wide if !layout.is_axis_dense && wide >= 0.8 => &[1.0, 3.0],
            narrow if narrow < 1.1 => &[1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
            _ => &[1.0, 2.0, 5.0],
        };
        // The labels of more than five decades would overlap on a narrow plot.
        let every = if !layout.is_axis_dense && high - low > 5.0 { 2 } else { 1 };
        let decades = (low.floor() as i32..=high.ceil() as i32).filter(|decade| decade % every == 0);
        let ticks = decades
            .flat_map(|decade| steps.iter().map(move |step| f64::from(decade) + step.log10()))
            .filter(|tick| (low..=high).contains(tick))
            .collect();
        Axis { line: (low..high).into(), ticks }
    }
}

/// A style that shows the plot in light colours on a dark ground where the reader's system is set to dark.
fn dark_style() -> String {
    let rule =
        |(light, dark)| format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}");
    let rules: Vec<String> = DARK.into_iter().map(rule).collect();
    format!("<style>@media (prefers-color-scheme:dark){{{}}}</style>", rules.join("\n"))
}

fn draw_mark(canvas: &Canvas<'_>, (x, y): (i32, i32), mark: Mark) -> Result<(), Box<dyn std::error::Error>> {
    let filled = |colour: RGBColor| colour.filled();
    let outline = |colour: RGBColor| -> ShapeStyle { colour.stroke_width(2) };
    let corners = [(x - 6, y - 6), (x + 6, y + 6)];
    match mark {
        Mark::Disc(colour) => canvas.draw(&Circle::new((x, y), 6, filled(colour)))?,
        Mark::Square(colour) => canvas.draw(&Rectangle::new(corners, filled(colour)))?,
        Mark::Ring(colour) => {
            canvas.draw(&Circle::new((x, y), 5, WHITE.filled()))?;
            canvas.draw(&Circle::new((x, y), 5, outline(colour)))?;
        }
        Mark::Frame(colour) => {
            canvas.draw(&Rectangle::new(corners, WHITE.filled()))?;
            canvas.draw(&Rectangle::new(corners, outline(colour)))?;
        }
    }
    Ok(())
}

/// A line of text whose middle is at the height of `at`.
fn write(
    canvas: &Canvas<'_>,
    at: (i32, i32),
    text: &str,
    size: u32,
    colour: RGBColor,
    side: HPos,
    bold: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut font = ("sans-serif", size).into_font().transform(FontTransform::None);
    if bold {
        font = font.style(FontStyle::Bold);
    }
    let style = TextStyle::from(font).color(&colour).pos(Pos::new(side, VPos::Center));
    canvas.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}
