use serde::Deserialize;
use serde_json::{Value, json};

use crate::chain::{Chain, ChainSettings};
use crate::descent::{Descent, DescentSettings, Field};
use crate::digits::Digits;
use crate::learner::{Learner, LearnerSettings, View};
use crate::speed::{Speed, SpeedSettings};
use crate::{Error, catalogue, data};

/// What a page asks for: the name of the request with what it needs.
#[derive(Debug, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
enum Request {
    Catalogue,
    DescentStart(DescentSettings),
    DescentStep { steps: u32 },
    DescentField(Field),
    DescentCurvature { at: [f64; 2] },
    DataTable,
    LearnerStart(LearnerSettings),
    LearnerStep { steps: u32 },
    LearnerView(View),
    LearnerWeight { index: usize, value: f64 },
    LearnerPredict { points: Vec<[f64; 2]> },
    LearnerModel { about: Vec<String> },
    LearnerSource { about: Vec<String> },
    LearnerHash,
    ChainStart(ChainSettings),
    ChainOrigin { number: Value },
    DigitsOpen,
    DigitsRead,
    DigitsLearn { label: u32, steps: u32 },
    DigitsTest,
    DigitsModel,
    SpeedStart(SpeedSettings),
    SpeedStep { steps: u32 },
}

/// The state behind the pages, which answers one request at a time.
#[derive(Debug, Default)]
pub struct Engine {
    descent: Option<Descent>,
    learner: Option<Learner>,
    chain: Option<Chain>,
    digits: Option<Digits>,
    speed: Option<Speed>,
}

/// An answer: JSON, and bytes that go with it, such as a file or numbers in f32.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    text: String,
    bytes: Vec<u8>,
}

impl Reply {
    /// The JSON.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What goes with it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        Self { text: value.to_string(), bytes: Vec::new() }
    }
}

impl From<(Value, Vec<f32>)> for Reply {
    fn from((value, numbers): (Value, Vec<f32>)) -> Self {
        Self { text: value.to_string(), bytes: numbers.iter().flat_map(|number| number.to_le_bytes()).collect() }
    }
}

impl Engine {
    /// Answers a request; what goes wrong is answered too, as `{"error": "...", "sentence": "...", "values": {...}}`.
    pub fn call(&mut self, request: &[u8], rest: &[u8]) -> Reply {
        self.answer(request, rest).unwrap_or_else(|error| error.reply().into())
    }

    fn answer(&mut self, request: &[u8], rest: &[u8]) -> Result<Reply, Error> {
        let request = serde_json::from_slice(request)
            .map_err(|error| Error::new("The settings can't be read: {error}.").with("error", error))?;
        Ok(match request {
            Request::Catalogue => catalogue::catalogue()?.into(),
            Request::DescentStart(settings) => self.descent.insert(Descent::new(settings)?).start().into(),
            Request::DescentStep { steps } => begun(&mut self.descent)?.step(steps)?.into(),
            Request::DescentField(field) => begun(&mut self.descent)?.field(&field)?.into(),
            Request::DescentCurvature { at } => begun(&mut self.descent)?.curvature(at).into(),
            Request::DataTable => data::table(rest)?.into(),
            Request::LearnerStart(settings) => self.learner.insert(Learner::new(settings)?).start().into(),
            Request::LearnerStep { steps } => begun(&mut self.learner)?.step(steps)?.into(),
            Request::LearnerView(view) => begun(&mut self.learner)?.view(&view)?.into(),
            Request::LearnerWeight { index, value } => begun(&mut self.learner)?.set_weight(index, value)?.into(),
            Request::LearnerPredict { points } => begun(&mut self.learner)?.predict(&points)?.into(),
            Request::LearnerModel { about } => {
                let bytes = begun(&mut self.learner)?.model(&about)?;
                Reply { text: json!({ "length": bytes.len() }).to_string(), bytes }
            }
            Request::LearnerSource { about } => json!({ "source": begun(&mut self.learner)?.source(&about)? }).into(),
            Request::LearnerHash => json!({ "hash": format!("{:016x}", begun(&mut self.learner)?.hash()) }).into(),
            Request::ChainStart(settings) => self.chain.insert(Chain::new(&settings)?).start()?.into(),
            Request::ChainOrigin { number } => begun(&mut self.chain)?.origin(number)?.into(),
            Request::DigitsOpen => self.digits.insert(Digits::open(rest)?).start()?.into(),
            Request::DigitsRead => begun(&mut self.digits)?.read(rest)?.into(),
            Request::DigitsLearn { label, steps } => begun(&mut self.digits)?.learn(rest, label, steps)?.into(),
            Request::DigitsTest => begun(&mut self.digits)?.test()?.into(),
            Request::DigitsModel => {
                let bytes = begun(&mut self.digits)?.model()?;
                Reply { text: json!({ "length": bytes.len() }).to_string(), bytes }
            }
            Request::SpeedStart(settings) => self.speed.insert(Speed::new(settings, rest)?).start().into(),
            Request::SpeedStep { steps } => begun(&mut self.speed)?.step(steps)?.into(),
        })
    }
}

/// What an earlier request must have begun.
fn begun<T>(state: &mut Option<T>) -> Result<&mut T, Error> {
    state.as_mut().ok_or_else(|| Error::new("Nothing has been started yet."))
}
