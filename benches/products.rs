//! The matrix products that training needs.
#![forbid(unsafe_code)]

use criterion::{Criterion, criterion_group, criterion_main};
use downhill::ndarray::Array2;
use downhill::tensor::product::{Start, product};
use downhill_benches::{Work, measure};

fn products(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("product");
    for (examples, inputs, outputs) in [
        (1, 784, 256),
        (32, 784, 256),
        (128, 784, 256),
        (1024, 784, 256),
        (128, 256, 128),
        (128, 128, 10),
        (256, 2048, 2048),
    ] {
        let x = Array2::from_elem((examples, inputs), 0.5f32);
        let w = Array2::from_elem((inputs, outputs), 0.25f32);
        let dy = Array2::from_elem((examples, outputs), 0.1f32);
        let (mut y, mut dw, mut dx) = (dy.clone(), w.clone(), x.clone());
        let work = Work::Operations(2 * examples * inputs * outputs);
        let name = |form: &str| format!("{form}, batch {examples}, {inputs} to {outputs}");
        measure(&mut group, &name("y = x W"), work, || product(x.view(), w.view(), Start::Zero, y.view_mut()));
        measure(&mut group, &name("dW = xT dy"), work, || product(x.t(), dy.view(), Start::Zero, dw.view_mut()));
        measure(&mut group, &name("dx = dy WT"), work, || product(dy.view(), w.t(), Start::Zero, dx.view_mut()));
    }
    group.finish();
}

criterion_group! { name = benches; config = downhill_benches::criterion(); targets = products }
criterion_main!(benches);
