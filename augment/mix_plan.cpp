#include "augment/mix_plan.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <istream>
#include <limits>
#include <locale>
#include <numeric>
#include <ostream>
#include <sstream>
#include <string>

#include "core/check.h"

namespace mixgrad::augment {

void check_draws(const char* mix, double alpha, double probability) {
  check(std::isfinite(alpha) && alpha >= 0 && alpha <= 1e6, mix, ": alpha must be between 0 and 1e6, got ", alpha);
  check(probability >= 0 && probability <= 1, mix, ": probability must be between 0 and 1, got ", probability);
}

std::string describe_draws(double probability, Pairing pairing) {
  std::string text = probability < 1 ? text_of(", probability ", probability) : "";
  if (pairing != Pairing::shuffle) text += pairing == Pairing::flip ? ", pairs flipped" : ", pairs rolled";
  return text;
}

double draw_share(double alpha, double probability, Random& random) {
  if (probability < 1 && random.uniform() >= probability) return 1;
  return alpha > 0 ? random.beta(alpha, alpha) : 1.0;
}

std::size_t draw_one_of(const std::vector<double>& weights, Random& random) {
  double left = random.uniform() * std::accumulate(weights.begin(), weights.end(), 0.0);
  for (std::size_t i = 0; i < weights.size(); ++i)
    if ((left -= weights[i]) < 0) return i;
  return weights.size() - 1;
}

std::vector<std::int32_t> draw_partners(std::int64_t batch_size, Pairing pairing, Random& random) {
  if (pairing == Pairing::shuffle) return random.permutation(batch_size);
  std::vector<std::int32_t> partners(static_cast<std::size_t>(batch_size));
  std::iota(partners.begin(), partners.end(), 0);
  if (pairing == Pairing::flip) std::ranges::reverse(partners);
  else if (batch_size > 0) std::rotate(partners.begin(), partners.begin() + 1, partners.end());
  return partners;
}

MixPlan draw_mix_plan(std::int64_t batch_size, const MixOptions& options, Random& random) {
  check_draws("mixup", options.alpha, options.probability);
  check(batch_size >= 0 && batch_size <= std::numeric_limits<std::int32_t>::max(), "mixup: batch size ", batch_size,
        " is not in 0..2^31-1");
  const auto draw_lambda = [&] {
    const double t = draw_share(options.alpha, options.probability, random);
    return static_cast<float>(options.dedupe ? std::max(t, 1 - t) : t);
  };
  MixPlan plan{.lambda = std::vector<float>(static_cast<std::size_t>(batch_size)), .permutation = {}};
  if (options.lambda_per == LambdaPer::sample) std::generate(plan.lambda.begin(), plan.lambda.end(), draw_lambda);
  else std::fill(plan.lambda.begin(), plan.lambda.end(), draw_lambda());
  plan.permutation = draw_partners(batch_size, options.pairing, random);
  return plan;
}

std::ostream& operator<<(std::ostream& out, const MixPlan& plan) {
  const auto exact = std::setprecision(std::numeric_limits<float>::max_digits10);
  const std::size_t n = plan.lambda.size(), columns = n > 0 ? plan.more.size() / n : 0;
  for (std::size_t i = 0; i < n; ++i) {
    const float lambda = plan.lambda[i];
    out << text_of(exact, i, " <- ", lambda, " * ", i, " + ", 1 - lambda, " * ", plan.permutation[i]);
    for (std::size_t k = 0; k < columns; ++k) out << text_of(k == 0 ? " : " : " ", plan.more[i * columns + k]);
    out << '\n';
  }
  return out << '\n';
}

MixPlan read_mix_plan(std::istream& in) {
  MixPlan plan;
  std::size_t columns = 0;  // of `more`
  for (std::string line;;) {
    check(!std::getline(in, line).fail(), "mix plan: truncated: the empty line at the end is missing");
    if (line.empty()) break;
    std::istringstream text(line);
    text.imbue(std::locale::classic());
    const std::int64_t i = plan.size();
    std::int64_t row = -1, self = -1;
    std::string arrow, times, plus, times_again, colon;
    float lambda = 0, rest = 0;
    std::int32_t partner = -1;
    text >> row >> arrow >> lambda >> times >> self >> plus >> rest >> times_again >> partner;
    bool good = !text.fail() && row == i && self == i && arrow == "<-" && times == "*" && plus == "+" &&
                times_again == "*" && std::abs(lambda + rest - 1) < 1e-6f;
    if (good && text >> colon) {
      good = colon == ":";
      for (std::int32_t number = 0; good && text >> number;) plan.more.push_back(number);
      good = good && text.eof();
    }
    if (i == 0) columns = plan.more.size();
    good = good && plan.more.size() == columns * static_cast<std::size_t>(i + 1);
    check(good, "mix plan: line ", i + 1, " is not a row of a plan: ", printable(line));
    plan.lambda.push_back(lambda);
    plan.permutation.push_back(partner);
  }
  check_plan(plan);
  return plan;
}

void check_plan(const MixPlan& plan) {
  const std::size_t n = plan.lambda.size();
  check(plan.permutation.size() == n && plan.more.size() % std::max<std::size_t>(n, 1) == 0, "mix plan: ", n,
        " lambdas, ", plan.permutation.size(), " partners, ", plan.more.size(), " further numbers");
  std::vector<bool> seen(n, false);
  for (std::size_t i = 0; i < n; ++i) {
    const float lambda = plan.lambda[i];
    const std::int32_t partner = plan.permutation[i];
    check(lambda >= 0 && lambda <= 1, "mix plan: lambda ", lambda, " of sample ", i, " is not in 0..1");
    check(partner >= 0 && static_cast<std::size_t>(partner) < n && !seen[static_cast<std::size_t>(partner)],
          "mix plan: the partners of ", n, " samples are not a permutation: ", partner);
    seen[static_cast<std::size_t>(partner)] = true;
  }
}

}  // namespace mixgrad::augment
