// SPDX-License-Identifier: BSD-3-Clause
#include "tools/cli.h"

#include "tools/bench.h"
#include "tools/client.h"
#include "tools/command.h"
#include "tools/print.h"

#include <algorithm>
#include <ostream>
#include <string_view>

#include <boost/program_options.hpp>
#include <fmt/format.h>

namespace weft::tools {
namespace {

namespace po = boost::program_options;

struct Globals {
  std::string socket = kDefaultSocket;
  bool json = false;
  bool help = false;
  bool version = false;
};

void add_globals(po::options_description& options) {
  options.add_options()("socket", po::value<std::string>())("json", po::bool_switch())("help,h", po::bool_switch())(
      "version,V", po::bool_switch());
}

void take_globals(const po::variables_map& values, Globals& globals) {
  if (values.contains("socket")) globals.socket = values["socket"].as<std::string>();
  globals.json |= values["json"].as<bool>();
  globals.help |= values["help"].as<bool>();
  globals.version |= values["version"].as<bool>();
}

/// "NET", "[NET]" or "FILE…".
std::string usage_of(const Positional& positional) {
  switch (positional.count) {
    case Positional::Count::kOne:
      return positional.name;
    case Positional::Count::kOptional:
      return fmt::format("[{}]", positional.name);
    case Positional::Count::kMany:
      return fmt::format("{}…", positional.name);
  }
  return {};
}

std::string usage_of(const Option& option) {
  return option.value == nullptr ? fmt::format("--{}", option.name) : fmt::format("--{} {}", option.name, option.value);
}

std::string usage_of(const Command& command) {
  std::string usage = command.name;
  for (const Positional& positional : command.positionals) usage += fmt::format(" {}", usage_of(positional));
  for (const Option& option : command.options) usage += fmt::format(" [{}]", usage_of(option));
  return usage;
}

std::string explained(const std::string& what, std::string_view help) {
  return fmt::format("  {:<22}  {}\n", what, help);
}

std::string global_help() {
  return std::string("\nOptions for every command:\n") +
         explained("--socket PATH", fmt::format("weftd's control socket; {} if not given", kDefaultSocket)) +
         explained("--json", "print one JSON document instead of text") + explained("--help", "what a command does") +
         explained("--version", "the version");
}

std::string help() {
  std::string out = "Usage: weft [--socket PATH] [--json] COMMAND …\n\nThe command line of the weft virtual switch.\n";
  std::string_view group;
  for (const Command& command : commands()) {
    if (group != command.group) {
      group = command.group;
      out += fmt::format("\n{}:\n", group);
    }
    out += explained(command.name, command.summary);
  }
  out += global_help();
  out +=
      "\nExit codes: 0 done, 1 the switch refused, 2 wrong usage or configuration, 3 no switch to talk to.\n"
      "`weft COMMAND --help` tells more about one command.\n";
  return out;
}

std::string help(const Command& command) {
  std::string out = fmt::format("Usage: weft {}\n\n{}: {}.\n", usage_of(command), command.name, command.summary);
  if (!command.positionals.empty() || !command.options.empty()) out += "\n";
  for (const Positional& positional : command.positionals) out += explained(usage_of(positional), positional.help);
  for (const Option& option : command.options) out += explained(usage_of(option), option.help);
  if (*command.details != '\0') out += fmt::format("\n{}", command.details);
  return out + global_help();
}

/// Where the command stands: the first argument that is neither an option nor an option's value.
size_t command_position(const std::vector<std::string>& arguments) {
  size_t at = 0;
  while (at < arguments.size() && arguments[at].starts_with("-")) at += arguments[at] == "--socket" ? 2 : 1;
  return std::min(at, arguments.size());
}

po::variables_map parse(const std::vector<std::string>& arguments, const po::options_description& options,
                        const po::positional_options_description& positionals) {
  const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
  po::variables_map values;
  po::store(po::command_line_parser(arguments).options(options).positional(positionals).style(style).run(), values);
  return values;
}

/// Boost knows positional arguments by an option's name too; the prefix keeps `--NET x` from being one.
std::string hidden_name(const Positional& positional) { return fmt::format("<{}>", positional.name); }

Arguments parse_command(const Command& command, const std::vector<std::string>& given, Globals& globals) {
  po::options_description options;
  po::positional_options_description positionals;
  add_globals(options);
  for (const Option& option : command.options) {
    if (option.value == nullptr) {
      options.add_options()(option.name, po::bool_switch());
    } else {
      options.add_options()(option.name, po::value<std::string>());
    }
  }
  for (const Positional& positional : command.positionals) {
    options.add_options()(hidden_name(positional).c_str(), po::value<std::vector<std::string>>());
    positionals.add(hidden_name(positional).c_str(), positional.count == Positional::Count::kMany ? -1 : 1);
  }
  const po::variables_map values = parse(given, options, positionals);
  take_globals(values, globals);
  Arguments arguments;
  if (globals.help) return arguments;
  for (const Positional& positional : command.positionals) {
    const std::string name = hidden_name(positional);
    if (values.contains(name)) {
      for (const std::string& value : values[name].as<std::vector<std::string>>()) {
        arguments.add(positional.name, value);
      }
    } else if (positional.count != Positional::Count::kOptional) {
      throw Failure(kExitUsage, fmt::format("{} is missing: weft {}", positional.name, usage_of(command)));
    }
  }
  for (const Option& option : command.options) {
    if (option.value == nullptr) {
      if (values[option.name].as<bool>()) arguments.add(option.name, "");
    } else if (values.contains(option.name)) {
      arguments.add(option.name, values[option.name].as<std::string>());
    }
  }
  return arguments;
}

const Command& command_named(const std::string& name) {
  if (const Command* command = find_command(name)) return *command;
  if (is_future_command(name)) throw Failure(kExitRefused, fmt::format("{} is not supported yet", name));
  const std::string_view nearest = nearest_command(name);
  throw Failure(kExitUsage, nearest.empty() ? fmt::format("unknown command '{}' (weft --help lists them)", name)
                                            : fmt::format("unknown command '{}'; did you mean {}?", name, nearest));
}

bool asks_for_help(const std::vector<std::string>& arguments, const Globals& globals) {
  return globals.help || std::ranges::any_of(arguments, [](const auto& a) { return a == "--help" || a == "-h"; });
}

/// What stood before the command and means something to the other program goes with it.
[[noreturn]] void hand_over(std::vector<std::string> arguments, const Globals& globals) {
  if (globals.json) arguments.emplace_back("--json");
  if (globals.help) arguments.emplace_back("--help");
  become_bench(arguments);
}

int run(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  Globals globals;
  const size_t at = command_position(arguments);
  const auto middle = arguments.begin() + static_cast<ptrdiff_t>(at);
  po::options_description options;
  add_globals(options);
  take_globals(parse({arguments.begin(), middle}, options, {}), globals);
  if (globals.version) {
    out << "weft " WEFT_VERSION "\n";
    return kExitDone;
  }
  if (middle == arguments.end() || (globals.help && *middle == "help")) {
    if (!globals.help) throw Failure(kExitUsage, "a command is missing (weft --help lists them)");
    out << help();
    return kExitDone;
  }
  const Command& command = command_named(*middle);
  // Without that program, help is what the table knows.
  if (command.is_another_program && (has_bench() || !asks_for_help({middle + 1, arguments.end()}, globals)))
    hand_over({middle + 1, arguments.end()}, globals);
  const Arguments given = parse_command(command, {middle + 1, arguments.end()}, globals);
  if (globals.help) {
    out << help(command);
    return kExitDone;
  }
  if (globals.version) {
    out << "weft " WEFT_VERSION "\n";
    return kExitDone;
  }
  if (command.run != nullptr) return command.run(given, out, err);
  const nlohmann::json result = ask(globals.socket, command.name, command.request(given));
  if (globals.json) {
    out << result.dump(2, ' ', true, nlohmann::json::error_handler_t::replace) << "\n";
    return kExitDone;
  }
  try {
    out << command.print(result);
  } catch (const nlohmann::json::exception& e) {
    throw Failure(kExitNoSwitch,
                  fmt::format("weftd's answer is not what weft {} expects of it: {}", WEFT_VERSION, e.what()));
  }
  return kExitDone;
}

}  // namespace

int run_cli(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  try {
    return run(arguments, out, err);
  } catch (const Failure& failure) {
    err << "weft: " << printable_lines(failure.what()) << "\n";
    return failure.exit_code;
  } catch (const po::error& error) {
    err << "weft: " << printable(error.what()) << "\n";
    return kExitUsage;
  } catch (const std::exception& error) {
    err << "weft: " << printable(error.what()) << "\n";
    return kExitRefused;
  }
}

}  // namespace weft::tools
