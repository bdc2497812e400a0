//! Pictures of training and of networks.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod axis;
mod chart;
mod confusion;
mod contour;
mod curves;
mod descent;
mod diagram;
mod error;
mod filters;
mod frame;
mod gradient_flow;
mod graph;
mod histogram;
mod history;
mod landscape;
mod look;
#[cfg(feature = "model")]
mod model_report;
mod panels;
#[cfg(feature = "explain")]
mod passes;
mod picture;
#[cfg(feature = "png")]
mod png;
mod rates;
mod regions;
mod reliability;
mod report;
mod scatter;
mod scene;
mod svg;
mod text;
mod theme;
mod words;

pub use chart::Chart;
pub use confusion::ConfusionPlot;
pub use curves::{PrecisionRecallPlot, RocPlot};
pub use descent::DescentPlot;
pub use diagram::Diagram;
pub use error::PlotError;
pub use filters::FiltersPlot;
pub use gradient_flow::{GradientFlow, GradientFlowPlot};
pub use graph::{NetworkPlot, PlotNetwork};
pub use histogram::HistogramPlot;
pub use history::{HistoryPlot, PlotHistory};
pub use landscape::{Landscape, LandscapePlot, Trajectory};
#[cfg(feature = "model")]
pub use model_report::ModelReport;
pub use panels::Panels;
#[cfg(feature = "explain")]
pub use passes::{PassesPlot, PlotPasses};
pub use picture::Picture;
pub use rates::{PlotRates, RatePlot};
pub use regions::DecisionRegions;
pub use reliability::ReliabilityPlot;
pub use report::Report;
pub use scatter::{PredictedPlot, ResidualPlot};
pub use scene::{Align, Dash, Marker};
pub use theme::{Theme, Tone};
pub use words::Language;
