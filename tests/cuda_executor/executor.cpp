#include "executor.h"

namespace executor {

Schedule schedule;
Machine machine;
Stats stats;

std::string to_string(const Schedule& schedule) {
  constexpr const char* orders[] = {"forward", "reverse", "deep", "random"};
  std::string text = orders[static_cast<int>(schedule.order)];
  if (schedule.order == Order::random) text += " " + std::to_string(schedule.seed);
  if (schedule.lazy_streams) text += ", lazy streams";
  constexpr const char* digits = "0123456789abcdef";
  return text + ", poison " + digits[schedule.poison >> 4] + digits[schedule.poison & 15];
}

std::vector<Schedule> every_order() {
  std::vector<Schedule> all;
  for (const Order order : {Order::forward, Order::reverse, Order::deep, Order::random}) {
    all.push_back({.order = order});
    all.push_back({.order = order, .seed = 2, .lazy_streams = true, .poison = 0x7f});
  }
  return all;
}

}  // namespace executor
