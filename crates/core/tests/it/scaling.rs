//! The scalers keep the estimator contract (feature `contract`).

use unsup_core::contract::{self, Questions};
use unsup_core::data::scaling::{MinMaxScaler, MinMaxScalerModel, StandardScaler, StandardScalerModel};
use unsup_core::estimator::{InverseTransform, Transform};
use unsup_core::{Float, data};

fn standard<F: Float>() -> Questions<StandardScalerModel, F> {
    Questions {
        answer: |model, x| {
            Ok(model.transform(x)?.mapv(|v| v.f64()) + model.inverse_transform(x)?.mapv(|v| v.f64()))
        },
        history: |_| None,
    }
}

fn min_max<F: Float>() -> Questions<MinMaxScalerModel, F> {
    Questions {
        answer: |model, x| {
            Ok(model.transform(x)?.mapv(|v| v.f64()) + model.inverse_transform(x)?.mapv(|v| v.f64()))
        },
        history: |_| None,
    }
}

#[test]
fn the_estimator_contract() {
    for x in [data::iris().x, data::wine().x] {
        contract::check(&StandardScaler::new(), &x, 1e-5, &standard(), &standard());
        contract::check(&MinMaxScaler::new(), &x, 1e-5, &min_max(), &min_max());
    }
}
