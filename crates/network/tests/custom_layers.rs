//! Descriptions of networks that hold layers of the user's own.
#![cfg(feature = "serde")]

use downhill_layers::{Activation, Affine, Relu};
use downhill_network::{CustomLayers, Network, NetworkDescription, Shared, sequential};
use downhill_tensor::{Scalar, Seed};

/// y = a x
#[derive(Clone, Copy, Debug)]
struct Times(f64);

impl Activation for Times {
    fn name(&self) -> &'static str {
        "Times"
    }
    fn value<T: Scalar>(&self, x: T) -> T {
        T::from_f64(self.0) * x
    }
    fn slope<T: Scalar>(&self, _x: T, _y: T) -> T {
        T::from_f64(self.0)
    }
}

fn custom() -> CustomLayers {
    CustomLayers::new().register("acme.Times", |times: &Times| times.0.to_string(), |text| text.parse().map(Times))
}

fn network() -> Network<f64> {
    let shared = Shared::new(Affine::new(3));
    Network::build([3], sequential![shared.clone(), Times(-2.5), Relu, shared, Times(0.1)], Seed(3)).unwrap()
}

fn json() -> String {
    serde_json::to_string(&network().describe_with(&custom()).unwrap()).unwrap()
}

fn read(json: &str, custom: &CustomLayers) -> Result<Network<f64>, String> {
    let description: NetworkDescription = serde_json::from_str(json).map_err(|error| error.to_string())?;
    description.build_with(custom).map_err(|error| error.to_string())
}

#[test]
fn a_network_with_a_custom_layer_survives_json() {
    let (network, again) = (network(), read(&json(), &custom()).unwrap());
    let x = [[1.0, -2.0, 3.0], [0.0, 0.5, -4.0]];
    assert_eq!(again.predict(x).unwrap(), network.predict(x).unwrap());
    assert_eq!(again.describe_with(&custom()), network.describe_with(&custom()));
}

#[test]
fn a_custom_layer_that_is_not_registered_is_named() {
    let error = network().description().unwrap_err().to_string();
    assert!(error.starts_with("layer `1` (Times) is not one of downhill-layers"), "{error}");
    let error = read(&json(), &CustomLayers::new()).unwrap_err();
    assert!(error.contains("layer `1`") && error.contains("`acme.Times`") && error.contains("none is"), "{error}");
    let other = CustomLayers::new().register("Relu6", |_: &Times| String::new(), |_| Ok::<_, String>(Times(1.0)));
    let error = read(&json(), &other).unwrap_err();
    assert!(error.contains("not registered; these are: `Relu6`"), "{error}");
}

#[test]
fn settings_that_the_layer_refuses_are_shown() {
    let error = read(&json().replace("-2.5", "much"), &custom()).unwrap_err();
    assert!(error.contains("`much` are no settings of") && error.contains("layer `1`"), "{error}");
}

#[test]
fn a_step_holds_one_layer() {
    let step = r#"{"type":"Relu"}"#;
    for (bad, expected) in [
        (json().replace(step, r#"{"type":"Foo"}"#), "unknown variant `Foo`"),
        (json().replace(&format!(r#""layer":{step},"#), ""), "the step `2` must hold either `layer` or `custom`"),
    ] {
        let error = read(&bad, &custom()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_a_description_asks_for_is_known_before_any_is_made() {
    let description = network().describe_with(&custom()).unwrap();
    let (parameters, statistics) = description.segments(&custom()).unwrap();
    assert_eq!((&parameters[..], statistics.len()), (network().segments(), 0));
    let wide = Network::<f64>::build([3], Affine::new(77), Seed(0)).unwrap().description().unwrap();
    let wide = serde_json::to_string(&wide).unwrap().replace(":77", ":10000000000");
    let wide: NetworkDescription = serde_json::from_str(&wide).unwrap();
    let (parameters, _) = wide.segments(&CustomLayers::new()).unwrap();
    assert_eq!(parameters[0].shape.len(), 30_000_000_000);
}
