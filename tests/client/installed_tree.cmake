# Installs the client into STAGE, builds the quickstart project SOURCE against it, and runs it against nobody.
file(REMOVE_RECURSE ${STAGE})
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE errors)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN} failed:\n${output}${errors}")
  endif()
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --component client --prefix ${STAGE}/usr)

file(GLOB_RECURSE headers RELATIVE ${STAGE}/usr/include ${STAGE}/usr/include/*)
if(NOT headers STREQUAL "gyre/client.h;gyre/feed.h;gyre/operation.h;gyre/result.h")
  message(FATAL_ERROR "client.h and the two that it includes are public, but these are installed: ${headers}")
endif()

run(${CMAKE_COMMAND} -S ${SOURCE} -B ${STAGE}/build -G Ninja -D CMAKE_PREFIX_PATH=${STAGE}/usr
    -D CMAKE_CXX_COMPILER=${CXX} -D "CMAKE_CXX_FLAGS=-Wall -Wextra -Werror")
run(${CMAKE_COMMAND} --build ${STAGE}/build)

execute_process(COMMAND ${STAGE}/build/quickstart 127.0.0.1:1 RESULT_VARIABLE status ERROR_VARIABLE errors)
if(NOT status EQUAL 1 OR NOT errors MATCHES "127.0.0.1:1: connection refused")
  message(FATAL_ERROR "quickstart without a cluster: status ${status}, says: ${errors}")
endif()
