"""OpenVINO on the processor: networks run, and OpenVINO IR written."""
