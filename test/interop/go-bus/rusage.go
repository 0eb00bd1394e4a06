package main

import (
	"context"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"syscall"
)

func handleRusage(_ context.Context, _ *node, _ json.RawMessage) (any, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return nil, err
	}
	micros := func(t syscall.Timeval) int64 { return t.Sec*1_000_000 + int64(t.Usec) }
	return map[string]any{"cpuMicros": micros(usage.Utime) + micros(usage.Stime), "maxRssBytes": usage.Maxrss * 1024, "rssBytes": currentRss()}, nil
}

func currentRss() int64 {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(status))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
