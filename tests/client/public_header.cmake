# Compiles each of HEADERS/gyre by itself, and a program of the example in the opening comment of client.h, with each
# compiler that is here.
set(header ${HEADERS}/gyre/client.h)
file(STRINGS ${header} lines REGEX "^//   +[^ ]" ENCODING UTF-8)
set(example "")
foreach(line IN LISTS lines)
  string(REGEX REPLACE "^// " "" line "${line}")
  if(line MATCHES "auto |return |Print|if |client->")
    string(APPEND example "${line}\n")
  endif()
endforeach()
if(NOT example MATCHES "Client::Connect.*Set\\(.*Get\\(.*Then\\(")
  message(FATAL_ERROR "no example at the top of ${header}, but:\n${example}")
endif()

file(MAKE_DIRECTORY ${STAGE})
foreach(name client operation result)
  file(WRITE ${STAGE}/${name}.cc "#include <gyre/${name}.h>\n")
endforeach()
file(
  WRITE ${STAGE}/example.cc
  "#include <gyre/client.h>\n"
  "static void Complain(const std::string&) {}\n"
  "static void Print(const std::string&) {}\n"
  "void Example();\n"
  "void Example() {\n${example}}\n")

foreach(name g++ clang++)
  find_program(compiler_${name} ${name})
  if(NOT compiler_${name})
    continue()
  endif()
  foreach(source client operation result example)
    execute_process(
      COMMAND ${compiler_${name}} -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
              -I${HEADERS} ${STAGE}/${source}.cc RESULT_VARIABLE status ERROR_VARIABLE errors)
    if(NOT status EQUAL 0)
      message(FATAL_ERROR "${name}, ${source}.cc:\n${errors}")
    endif()
  endforeach()
endforeach()
