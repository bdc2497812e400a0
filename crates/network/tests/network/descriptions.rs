//! A description tells a network in full, and a hostile one is an error.

use downhill_layers::{Affine, Dropout, Flatten, Gelu};
use downhill_network::{Frozen, Named, Network, NetworkDescription, Residual, Shared, sequential};
use ndarray::array;

use crate::build;

#[test]
fn a_description_survives_json() {
    let network = build(
        [2, 3],
        sequential![Flatten, Affine::new(4), Residual(sequential![Affine::new(4), Gelu::tanh()]), Dropout::new(0.1)],
    );
    let json = serde_json::to_string_pretty(&network.description().unwrap()).unwrap();
    assert!(json.contains("\"type\": \"Affine\""), "{json}");
    let again: NetworkDescription = serde_json::from_str(&json).unwrap();
    let rebuilt = again.build::<f64>().unwrap();
    assert_eq!(rebuilt.parameters(), network.parameters());
    let x = array![[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]];
    assert_eq!(rebuilt.predict(&x).unwrap(), network.predict(&x).unwrap());
}

#[test]
fn a_description_keeps_what_is_shared_and_what_is_frozen() {
    let shared = Shared::new(Affine::new(4));
    let network = build([4], sequential![shared.clone(), Frozen(Affine::new(4)), Named("last", shared)]);
    let written = serde_json::to_string(&network.description().unwrap()).unwrap();
    let again: Network<f64> = serde_json::from_str::<NetworkDescription>(&written).unwrap().build().unwrap();
    assert_eq!(again.segments(), network.segments());
    assert_eq!(again.parameters().len(), 2 * 20);
    let circular = written.replace(r#""shares":0"#, r#""shares":2"#);
    let error = serde_json::from_str::<NetworkDescription>(&circular).unwrap().build::<f64>().unwrap_err();
    assert!(error.to_string().contains("only an earlier step"), "{error}");
}

#[test]
fn a_hostile_description_is_an_error() {
    for json in [
        r#"{"inputs":[[2]],"steps":[],"output":0,"seed":0}"#,
        r#"{"inputs":[[2]],"steps":[{"name":"0","layer":{"type":"Relu"},"inputs":[7]}],"output":1,"seed":0}"#,
        r#"{"inputs":[[2]],"steps":[{"name":"0","layer":{"type":"Relu"},"inputs":[]}],"output":1,"seed":0}"#,
        r#"{"inputs":[[2]],"steps":[{"name":"0","layer":{"type":"Relu"},"inputs":[0]}],"output":99,"seed":0}"#,
        r#"{"inputs":[[2]],"steps":[{"name":"0","layer":{"type":"Relu"},"inputs":[1]}],"output":1,"seed":0}"#,
        r#"{"inputs":[[2]],"steps":[{"name":"0","layer":{"type":"Dropout","probability":-1.0},"inputs":[0]}],"output":1,"seed":0}"#,
    ] {
        let description: NetworkDescription = serde_json::from_str(json).unwrap();
        assert!(description.build::<f32>().is_err(), "{json}");
    }
}
