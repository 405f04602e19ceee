//! The integration tests of the decomposition crate. The invariants that scikit-learn's own tests state, by their numbers in the
//! project's list:
//!
//! | number | scikit-learn's test | here |
//! | --- | --- | --- |
//! | 32 | `test_pca` | `pca_density::covariance_and_precision_are_inverse_…` |
//! | 33 | `test_pca_solver_equivalence` | `pca_density::cases_by_routes` |
//! | 34 | `test_whitening` | `pca::whitened_codes_are_uncorrelated_with_unit_variance` |
//! | 35 | `test_pca_singular_values` | `pca::components_are_orthonormal_…`, `pca::a_table_made_with_singular_values_has_them` |
//! | 36 | `test_pca_inverse` | the same, and `pca::whitened_codes_…` |
//! | 37 | `test_pca_zero_noise_variance_edge_cases` | `pca_density::no_noise_is_left_where_every_component_is_kept` |
//! | 38 | `test_pca_sanity_noise_variance` | `pca_density::covariance_and_precision_are_inverse_…` |
//! | 39 | `test_pca_score3` | `pca_density::rows_not_seen_are_most_likely_…`, `pca_density::the_most_probable_dimension_…` |
//! | 40 | `test_infer_dim_by_explained_variance` | `pca_density::a_fraction_of_the_variance_finds_the_dimension` |
//! | 41 | `test_pca_sparse` | `truncated_svd::invariant_41_…` |
//! | 42 | `test_incremental_pca_partial_fit_small_batch` | `incremental::any_cut_into_batches_…` |
//! | 43 | `test_incremental_pca_batch_signs` | `incremental::signs_stay_from_batch_to_batch` |
//! | 44 | `test_kernel_pca_linear_kernel` | `kernel_pca::invariant_44_…` |
//! | 45 | `test_precomputed_kernel_not_psd` | `kernel_pca::invariant_45_…` |
//! | 46 | `test_leave_zero_eig` | `kernel_pca::invariant_46_…` |
//! | 47 | `test_factor_analysis` | `factor::the_likelihood_never_falls_…`, `factor::a_subspace_gives_…`, `factor::varimax_is_that_of_r` |
//! | 48 | `test_nmf_decreasing` | `nmf::invariant_48_…` |
//! | 49 | `test_beta_divergence` | `nmf::invariant_49_…` |
//! | 50 | `test_nmf_minibatchnmf_equivalence` | `nmf::invariant_50_…` |

mod dictionary;
mod extremes;
mod factor;
mod fastica;
mod incremental;
mod kernel_pca;
mod lars;
mod nmf;
mod nmf_oracle;
mod nmf_sparse;
mod oracle;
mod pca;
mod pca_density;
mod pca_oracle;
mod ppca;
mod ppca_mixture;
mod readings;
mod robust_pca;
mod shape;
mod shape_contract;
mod truncated_svd;

use unsup_decomposition::Route;

/// Every route to the principal components.
const ROUTES: [Route; 4] = [Route::Covariance, Route::Gram, Route::Svd, Route::RANDOMIZED];
