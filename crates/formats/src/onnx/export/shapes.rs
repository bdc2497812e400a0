//! Layers that join values, add them up, and put numbers in another order.

use downhill_tensor::Scalar;
use serde::Deserialize;

use super::place::{Place, int};

type Written = Result<String, String>;

#[derive(Deserialize)]
struct Axis {
    #[serde(default)]
    axis: usize,
    #[serde(default)]
    keep: bool,
}

pub(super) fn merge<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (Axis { axis, keep }, kind): (Axis, _) = (place.read()?, place.settings.kind.clone());
    let inputs: Vec<String> = (0..place.inputs()).map(|index| place.input(index)).collect();
    let names: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let axis = axis + 1;
    Ok(match (&*kind, &names[..]) {
        ("Mean", [x]) => place.reduce("ReduceMean", x, &[axis as i64], keep),
        ("Sum", [x]) => place.reduce("ReduceSum", x, &[axis as i64], keep),
        (_, [x]) => (*x).to_owned(),
        ("Concat", names) => place.node("Concat", names, [int("axis", axis)]),
        ("Add", [x, y]) => place.binary("Add", x, y),
        ("Add", names) => place.node("Sum", names, []),
        (_, [first, others @ ..]) => {
            others.iter().fold((*first).to_owned(), |product, other| place.binary("Mul", &product, other))
        }
        (_, []) => return Err("it has no inputs".to_owned()),
    })
}

#[derive(Deserialize)]
struct Order {
    #[serde(default)]
    order: Vec<usize>,
    #[serde(default)]
    axis: i64,
    #[serde(default)]
    start: i64,
    #[serde(default)]
    end: i64,
}

pub(super) fn reorder<T: Scalar>(place: &mut Place<'_, '_, T>) -> Written {
    let (Order { order, axis, start, end }, x): (Order, _) = (place.read()?, place.input(0));
    Ok(match &*place.settings.kind {
        "Flatten" => place.node("Flatten", &[&x], [int("axis", 1)]),
        "Permute" => {
            let rank = place.shape(0).rank();
            let order = order.iter().copied().chain(order.len()..rank).map(|axis| axis + 1);
            place.transpose(&x, [0].into_iter().chain(order))
        }
        "Slice" => {
            let (starts, ends) = (place.whole("starts", &[start]), place.whole("ends", &[end]));
            let axes = place.whole("axes", &[axis + 1]);
            place.node("Slice", &[&x, &starts, &ends, &axes], [])
        }
        _ => {
            let axes = place.output;
            place.reshape(&x, axes.axes())
        }
    })
}
