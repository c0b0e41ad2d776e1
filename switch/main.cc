// SPDX-License-Identifier: BSD-3-Clause
//
// weftd: options, the EAL, signals. Everything else hangs off the Daemon made here.
#include "config/load.h"
#include "switch/daemon.h"

#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/program_options.hpp>
#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

namespace weft::vswitch {
namespace {

namespace po = boost::program_options;

constexpr int kExitRefused = 1, kExitUsage = 2;
constexpr const char* kDefaultConfig = "/etc/weft/weft.yaml";
/// Memory of the EAL when nothing else is asked for, MiB: the owned packets and room to spare.
constexpr uint32_t kMemoryMib = 64;

struct CommandLine {
  std::string config = kDefaultConfig;
  std::optional<std::string> control, state;
  std::string log = "info";
  bool check = false;
};

po::options_description describe(CommandLine& line) {
  po::options_description options("Options");
  const auto set = [](std::optional<std::string>& to) { return [&to](const std::string& v) { to = v; }; };
  options.add_options()                                                                                             //
      ("config,c", po::value(&line.config)->value_name("FILE"), "the configuration (default /etc/weft/weft.yaml)")  //
      ("check", po::bool_switch(&line.check), "read and validate the configuration, print every error, and exit")   //
      ("control", po::value<std::string>()->value_name("PATH")->notifier(set(line.control)),
       "the control socket (default /run/weft/weft.sock)")  //
      ("state", po::value<std::string>()->value_name("DIR")->notifier(set(line.state)),
       "where leases and generated identities are kept (default /var/lib/weft)")                                   //
      ("log", po::value(&line.log)->value_name("LEVEL"), "trace, debug, info, warn, error or off (default info)")  //
      ("version", "print the version and exit")("help,h", "print this and exit");
  return options;
}

/// Reads and checks the file; prints all errors and notes. nullopt: there are errors.
std::optional<config::Config> load(const CommandLine& line) {
  auto loaded = config::load_file(line.config);
  for (const auto& note : loaded.notes) std::cerr << "note: " << note.to_string() << '\n';
  for (const auto& error : loaded.errors) std::cerr << error.to_string() << '\n';
  if (!loaded.ok()) return std::nullopt;
  if (line.control) loaded.config.switch_.control.path = *line.control;
  if (line.state) loaded.config.switch_.state = *line.state;
  return std::move(loaded.config);
}

uint64_t free_hugepages_mib() {
  std::ifstream in("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
  uint64_t pages = 0;
  in >> pages;
  return pages * 2;
}

/// Runs on any CPU the process may use: the EAL would else pin this thread to the first.
std::string lcores() {
  cpu_set_t allowed;
  std::string list;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
    for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &allowed)) list += fmt::format("{}{}", list.empty() ? "" : ",", cpu);
  return fmt::format("--lcores=0@({})", list.empty() ? "0" : list);
}

void start_eal(const config::Memory& memory) {
  const uint32_t mib = memory.size_mib.value_or(kMemoryMib);
  const bool huge = memory.hugepages.value_or(free_hugepages_mib() >= mib);
  if (huge && free_hugepages_mib() < mib)
    throw std::runtime_error(
        fmt::format("switch.memory asks for {} MiB of hugepages, {} MiB are free; reserve some or say hugepages: no",
                    mib, free_hugepages_mib()));
  std::vector<std::string> words = {"weftd",         lcores(), "--no-pci",         "--no-telemetry",
                                    "--log-level=3", "-m",     std::to_string(mib)};
  if (huge)
    words.emplace_back("--in-memory");
  else
    words.insert(words.end(), {"--no-huge", "--no-shconf"});
  std::vector<char*> arguments;
  for (auto& w : words) arguments.push_back(w.data());
  if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0)
    throw std::runtime_error(fmt::format("DPDK's environment could not be set up: {}", rte_strerror(rte_errno)));
}

void raise_fd_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// Until the loop is stopped. What a handler throws is no reason for the packets to stop.
void run_loop(boost::asio::io_context& io) {
  for (;;) {
    try {
      io.run();
      return;
    } catch (const std::exception& e) {
      spdlog::error("internal error: {}", e.what());
    }
  }
}

void run(config::Config config) {
  // Before anything that a signal could leave half done.
  boost::asio::io_context io;
  boost::asio::signal_set ends(io, SIGTERM, SIGINT), reloads(io, SIGHUP);
  raise_fd_limit();
  start_eal(config.switch_.memory);
  Daemon daemon(io, std::move(config));
  daemon.start();

  ends.async_wait([&](boost::system::error_code ec, int) {
    if (!ec) io.stop();
  });
  std::function<void()> wait_for_reload = [&] {
    reloads.async_wait([&](boost::system::error_code ec, int) {
      if (ec) return;
      spdlog::error("SIGHUP: reloading a running switch is not supported yet; nothing was changed, restart weftd");
      wait_for_reload();
    });
  };
  wait_for_reload();

  std::puts("ready");
  std::fflush(stdout);
  sd_notify(0, "READY=1");
  run_loop(io);
  sd_notify(0, "STOPPING=1");
}

int main_of(int argc, char** argv) {
  CommandLine line;
  const auto options = describe(line);
  po::variables_map given;
  try {
    po::store(po::command_line_parser(argc, argv).options(options).positional({}).run(), given);
    if (given.contains("help")) {
      std::cout << "weftd, a userspace virtual switch for virtual machines\n\nUsage: weftd [OPTIONS]\n\n"
                << options
                << "\nIt runs in the foreground and prints `ready` when it forwards packets. SIGTERM or SIGINT: stop.\n"
                   "Exit codes: 0 stopped cleanly, 1 something could not be opened, 2 wrong usage or configuration.\n";
      return 0;
    }
    if (given.contains("version")) {
      std::cout << "weftd " << WEFT_VERSION << '\n';
      return 0;
    }
    po::notify(given);
  } catch (const po::error& e) {
    std::cerr << "weftd: " << e.what() << " (see weftd --help)\n";
    return kExitUsage;
  }
  const auto level = spdlog::level::from_str(line.log);
  if (level == spdlog::level::off && line.log != "off") {
    std::cerr << fmt::format("weftd: --log {}: want trace, debug, info, warn, error or off\n", line.log);
    return kExitUsage;
  }
  spdlog::set_default_logger(spdlog::stderr_color_mt("weftd"));
  spdlog::set_pattern("%H:%M:%S.%e %^%l%$ %v");
  spdlog::set_level(level);

  auto config = load(line);
  if (!config) return kExitUsage;
  if (line.check) return 0;
  try {
    run(std::move(*config));
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "weftd: " << e.what() << '\n';
    return kExitRefused;
  }
}

}  // namespace
}  // namespace weft::vswitch

int main(int argc, char** argv) { return weft::vswitch::main_of(argc, argv); }
