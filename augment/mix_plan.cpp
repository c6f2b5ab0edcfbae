#include "augment/mix_plan.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <istream>
#include <limits>
#include <locale>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "core/check.h"

namespace mixgrad::augment {

MixPlan draw_mix_plan(std::int64_t batch_size, const MixOptions& options, Random& random) {
  const double alpha = options.alpha;
  check(std::isfinite(alpha) && alpha >= 0 && alpha <= 1e6, "mixup: alpha must be between 0 and 1e6, got ", alpha);
  check(batch_size >= 0 && batch_size <= std::numeric_limits<std::int32_t>::max(), "mixup: batch size ", batch_size,
        " is not in 0..2^31-1");

  const auto draw_lambda = [&] {
    const double t = alpha > 0 ? random.beta(alpha, alpha) : 1.0;
    return static_cast<float>(options.dedupe ? std::max(t, 1 - t) : t);
  };
  std::vector<float> lambda(static_cast<std::size_t>(batch_size));
  if (options.lambda_per == LambdaPer::sample) std::generate(lambda.begin(), lambda.end(), draw_lambda);
  else std::fill(lambda.begin(), lambda.end(), draw_lambda());

  return {Tensor::from(lambda, {batch_size}), Tensor::from(random.permutation(batch_size), {batch_size})};
}

std::ostream& operator<<(std::ostream& out, const MixPlan& plan) {
  const float* lambda = plan.lambda.data<float>();
  const std::int32_t* partner = plan.permutation.data<std::int32_t>();
  const auto exact = std::setprecision(std::numeric_limits<float>::max_digits10);
  for (std::int64_t i = 0; i < plan.size(); ++i)
    out << text_of(exact, i, " <- ", lambda[i], " * ", i, " + ", 1 - lambda[i], " * ", partner[i], '\n');
  return out << '\n';
}

MixPlan read_mix_plan(std::istream& in) {
  std::vector<float> lambdas;
  std::vector<std::int32_t> partners;
  for (std::string line;;) {
    check(!std::getline(in, line).fail(), "mix plan: truncated: the empty line at the end is missing");
    if (line.empty()) break;
    std::istringstream text(line);
    text.imbue(std::locale::classic());
    const auto i = static_cast<std::int64_t>(lambdas.size());
    std::int64_t row = -1, self = -1;
    std::string arrow, times, plus, times_again, more;
    float lambda = 0, rest = 0;
    std::int32_t partner = -1;
    text >> row >> arrow >> lambda >> times >> self >> plus >> rest >> times_again >> partner;
    check(!text.fail() && !(text >> more) && row == i && self == i && arrow == "<-" && times == "*" && plus == "+" &&
              times_again == "*" && std::abs(lambda + rest - 1) < 1e-6f,
          "mix plan: line ", i + 1, " is not a row of a plan: ", printable(line));
    lambdas.push_back(lambda);
    partners.push_back(partner);
  }
  const auto n = static_cast<std::int64_t>(lambdas.size());
  const MixPlan plan{Tensor::from(lambdas, {n}), Tensor::from(partners, {n})};
  check_plan(plan);
  return plan;
}

void check_plan(const MixPlan& plan) {
  check(plan.lambda.rank() == 1 && plan.lambda.shape() == plan.permutation.shape(), "mix plan: lambda is ",
        plan.lambda.shape(), ", permutation ", plan.permutation.shape());
  const std::int64_t n = plan.size();
  const Tensor lambdas = plan.lambda.to(cpu), partners = plan.permutation.to(cpu);
  const float* lambda = lambdas.data<float>();
  const std::int32_t* partner = partners.data<std::int32_t>();
  std::vector<bool> seen(static_cast<std::size_t>(n), false);
  for (std::int64_t i = 0; i < n; ++i) {
    check(lambda[i] >= 0 && lambda[i] <= 1, "mix plan: lambda ", lambda[i], " of sample ", i, " is not in 0..1");
    check(partner[i] >= 0 && partner[i] < n && !seen[static_cast<std::size_t>(partner[i])],
          "mix plan: the partners of ", n, " samples are not a permutation: ", partner[i]);
    seen[static_cast<std::size_t>(partner[i])] = true;
  }
}

}  // namespace mixgrad::augment
