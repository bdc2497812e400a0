//! The program of the guide's chapter on many machines: `mpirun -n 2 target/release/examples/digits`.

use std::error::Error;
use std::process::ExitCode;

use downhill::data::digits;
use downhill::prelude::*;
use downhill::train::Every;

fn main() -> ExitCode {
    downhill_mpi::run(|ranks| -> Result<(), Box<dyn Error>> {
        let (train, validation) = digits::<f32>()?.stratified_split(0.8, Seed(1))?;
        let mlp = sequential![Affine::new(64), Relu, Affine::new(10)];
        let mut network = Network::build([64], mlp, Seed(7))?;
        let mut trainer = Trainer::new(SoftmaxCrossEntropy::new(), AdamW::new(0.003))
            .epochs(10)
            .batch_size(16)
            .validate(&validation)
            .metric(Accuracy::new())
            .progress(Progress::Lines)
            .checkpoint("run", Every::Epochs(1))
            .resume_or_start("run")
            .exchange(ranks.exchange());
        let history = trainer.fit(&mut network, &train)?;
        if ranks.rank() == 0 {
            println!("{} steps", history.steps);
        }
        Ok(())
    })
}
