//! A network that learns to tell two spirals apart, drawn again and again while it does: the picture that moves on the
//! guide's start page.
//!
//! Both files are one picture of `downhill-plot` each, in which what moves is there once for every moment, in elements of
//! the class `moment`; only the last is shown until `docs/theme/learning.js` shows the others.

use std::f64::consts::TAU;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use downhill::data::{Dataset, Targets};
use downhill::layers::{Affine, Tanh};
use downhill::losses::{Loss, SoftmaxCrossEntropy};
use downhill::network::{Network, sequential};
use downhill::optim::Adam;
use downhill::plot::{Chart, DecisionRegions, Theme};
use downhill::tensor::Seed;
use downhill::train::metrics::Accuracy;
use downhill::train::{Trainer, evaluate};

use super::Files;
use super::table::digits;
use crate::Result;

/// Points of both spirals together.
const POINTS: usize = 180;

const EPOCHS: u64 = 60;

/// The network is looked at after each such number of epochs.
const EVERY: u64 = 2;

struct Moment {
    epoch: u64,
    loss: f64,
    /// How many points are on the right side.
    right: usize,
    /// The regions as SVG.
    regions: String,
}

pub(super) fn add(files: &mut Files) -> Result {
    let moments = run()?;
    files.insert("learning.svg".into(), regions(&moments)?);
    files.insert("learning-loss.svg".into(), losses(&moments)?);
    Ok(())
}

/// Two spirals around each other, of one and a half turns each.
fn spirals() -> Result<Dataset<f64>> {
    let mut stream = Seed(1).stream(0);
    let mut places = Vec::new();
    for index in 0..POINTS {
        let (radius, which) = (0.2 + 2.8 * index as f64 / POINTS as f64, (index % 2) as f64);
        let angle = TAU * (0.5 * radius + 0.5 * which);
        let mut noise = || 0.2 * (stream.uniform() - 0.5);
        places.extend([radius * angle.cos() + noise(), radius * angle.sin() + noise()]);
    }
    let which = (0..POINTS).map(|index| (index % 2) as u32).collect();
    Ok(Dataset::new(places, [2], Targets::named_classes(which, ["one spiral", "the other"]))?)
}

fn run() -> Result<Vec<Moment>> {
    let data = spirals()?;
    let layers = sequential![Affine::new(24), Tanh, Affine::new(24), Tanh, Affine::new(2)];
    let mut network = Network::build([2], layers, Seed(4))?;
    // Which a trainer would say only once it begins.
    network.set_meaning(SoftmaxCrossEntropy::new().meaning());
    let mut moments = vec![look(0, &network, &data)?];
    let mut failed = None;
    Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.02))
        .epochs(EPOCHS)
        .batch_size(20)
        .on_epoch(|end| {
            let epoch = end.record.epoch;
            if epoch.is_multiple_of(EVERY) {
                match look(epoch, end.network, &data) {
                    Ok(moment) => moments.push(moment),
                    Err(error) => failed = Some(error.to_string()),
                }
            }
            ControlFlow::Continue(())
        })
        .fit(&mut network, &data)?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(moments),
    }
}

fn look(epoch: u64, network: &Network<f64>, data: &Dataset<f64>) -> Result<Moment> {
    let judged = evaluate(network, &SoftmaxCrossEntropy::new(), data, [Accuracy::new()])?;
    let right = judged.metric("accuracy").unwrap_or(f64::NAN) * POINTS as f64;
    let regions = DecisionRegions::of(network, data)?.variables("", "").size(400, 420).theme(Theme::Page).to_svg();
    Ok(Moment { epoch, loss: judged.loss, right: right.round() as usize, regions })
}

/// The last picture of the regions, with the region of every moment.
fn regions(moments: &[Moment]) -> Result<String> {
    let last = moments.last().ok_or("no moment was looked at")?;
    let (start, region, end) = region(&last.regions).ok_or("the last picture has no region")?;
    // The lines around the region follow it.
    let end: String =
        end.lines().skip_while(|line| line.starts_with("<polyline")).map(|line| line.to_owned() + "\n").collect();
    let (paint, _) = region.split_once(" points=").ok_or("a region has no points")?;
    let mut svg = start.to_owned();
    for (index, moment) in moments.iter().enumerate() {
        let points =
            self::region(&moment.regions).and_then(|(_, region, _)| region.split('"').rev().nth(1)).unwrap_or("");
        let class = format!("class=\"moment {}", paint.split("class=\"").nth(1).unwrap_or(""));
        let hidden = if index + 1 < moments.len() { " display=\"none\"" } else { "" };
        let (epoch, loss, right) = (moment.epoch, digits(moment.loss, 2), moment.right);
        let _ = writeln!(
            svg,
            "<path {class}{hidden} data-epoch=\"{epoch}\" data-loss=\"{loss}\" data-right=\"{right}\" d=\"{}\"/>",
            path(points)
        );
    }
    Ok(svg + &end)
}

/// The picture before the region of the second class, its element, and the rest; nothing if there is no such region.
fn region(svg: &str) -> Option<(&str, &str, &str)> {
    // It follows the region of the first class, which is the whole plane and the last rectangle.
    let background = svg.rfind("<rect")?;
    let start = background + svg[background..].find('\n')? + 1;
    let (region, rest) = svg[start..].split_once('\n')?;
    region.starts_with("<polygon").then_some((&svg[..start], region, rest))
}

/// The corners of a polygon as a path, with each corner from the one before it, which takes half the room.
fn path(points: &str) -> String {
    let mut path = String::new();
    let mut before = (0, 0);
    for point in points.split_whitespace() {
        let Some((Ok(x), Ok(y))) = point.split_once(',').map(|(x, y)| (x.parse::<i32>(), y.parse::<i32>())) else {
            continue;
        };
        let (dx, dy) = (x - before.0, y - before.1);
        let start = if path.is_empty() { "m" } else { "l" };
        let comma = if dy < 0 { "" } else { "," };
        let _ = write!(path, "{start}{dx}{comma}{dy}");
        before = (x, y);
    }
    if path.is_empty() { path } else { path + "z" }
}

/// The loss by epoch, with a point at every moment.
fn losses(moments: &[Moment]) -> Result<String> {
    let points = || moments.iter().map(|moment| (moment.epoch as f64, moment.loss));
    let chart = Chart::new("epoch", "loss").x_range(-1.5, EPOCHS as f64 + 1.5).y_range(0.0, 0.8);
    let svg = chart.line("", points()).points("", points()).size(340, 262).theme(Theme::Page).to_svg();
    // The markers of a second series are the only polygons.
    let mut left = svg.lines().filter(|line| line.starts_with("<polygon")).count();
    if left != moments.len() {
        return Err(format!("the curve has {left} markers for {} moments", moments.len()).into());
    }
    let line = |line: &str| {
        if !line.starts_with("<polygon") {
            return format!("{line}\n");
        }
        left -= 1;
        let hidden = if left > 0 { " display=\"none\"" } else { "" };
        line.replacen("class=\"", "class=\"moment ", 1).replacen("/>", &format!("{hidden}/>\n"), 1)
    };
    Ok(svg.lines().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::root;
    use std::fs;

    #[test]
    fn one_moment_is_shown_and_the_start_page_names_the_points() {
        for language in ["", "ko/"] {
            let guide = root().join(format!("docs/guide/{language}src"));
            for name in ["learning.svg", "learning-loss.svg"] {
                let svg = fs::read_to_string(guide.join("figures").join(name)).unwrap();
                let moments: Vec<&str> = svg.lines().filter(|line| line.contains("class=\"moment ")).collect();
                let shown = moments.iter().filter(|moment| !moment.contains("display=\"none\"")).count();
                assert_eq!((moments.len() as u64, shown), (EPOCHS / EVERY + 1, 1), "{name}");
                assert!(!svg.contains("\n\n"), "Markdown ends an HTML block at a blank line: {name}");
            }
            let page = fs::read_to_string(guide.join("introduction.md")).unwrap();
            let said = page.lines().find(|line| line.contains("class=\"now\"")).unwrap();
            assert!(said.contains(&POINTS.to_string()), "{said}");
        }
    }

    #[test]
    fn a_path_goes_from_corner_to_corner() {
        assert_eq!(path("10,20 15,18 15,30"), "m10,20l5-2l0,12z");
        assert_eq!(path(""), "");
    }

    #[test]
    fn a_region_is_the_polygon_on_the_last_rectangle() {
        let marker = "<polygon points=\"3,4\"/>\n";
        let svg = format!("<svg>\n<rect/>\n{marker}<rect/>\n<polygon points=\"1,2\"/>\n<polyline/>\n{marker}</svg>\n");
        let (start, region, end) = self::region(&svg).unwrap();
        assert!(start.ends_with(&format!("{marker}<rect/>\n")), "{start}");
        assert_eq!(region, "<polygon points=\"1,2\"/>");
        assert!(end.starts_with("<polyline/>"), "{end}");
        assert!(self::region(&format!("<svg>\n<rect/>\n<polyline/>\n{marker}</svg>\n")).is_none());
    }
}
