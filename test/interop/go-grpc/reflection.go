// Calls by server reflection alone, as grpcurl makes them: nothing is known of the service but what the server tells.
package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

func callReflected(ctx context.Context, conn *grpc.ClientConn, c command) (proto.Message, error) {
	service, name, _ := strings.Cut(c.Method, "/")
	services, files, err := ask(ctx, conn, c.Reflection, service)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(services, service) {
		return nil, fmt.Errorf("%s is not listed: %v", service, services)
	}
	method, err := findMethod(files, service, name)
	if err != nil {
		return nil, err
	}
	request := dynamicpb.NewMessage(method.Input())
	if err := readRequest(c, request); err != nil {
		return nil, err
	}
	response := dynamicpb.NewMessage(method.Output())
	return response, conn.Invoke(ctx, "/"+c.Method, request, response)
}

func findMethod(files [][]byte, service, name string) (protoreflect.MethodDescriptor, error) {
	set := &descriptorpb.FileDescriptorSet{}
	for _, raw := range files {
		file := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(raw, file); err != nil {
			return nil, err
		}
		set.File = append(set.File, file)
	}
	registry, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, err
	}
	found, err := registry.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, err
	}
	method := found.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(name))
	if method == nil {
		return nil, fmt.Errorf("%s has no method %s", service, name)
	}
	return method, nil
}

// Names of all services, and the files that describe the symbol. The messages of v1 and v1alpha are the same on the wire.
func ask(ctx context.Context, conn *grpc.ClientConn, version, symbol string) ([]string, [][]byte, error) {
	path := "/grpc.reflection." + version + ".ServerReflection/ServerReflectionInfo"
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, path)
	if err != nil {
		return nil, nil, err
	}
	defer stream.CloseSend()
	listed, err := exchange(stream, &reflection.ServerReflectionRequest{
		MessageRequest: &reflection.ServerReflectionRequest_ListServices{ListServices: "*"},
	})
	if err != nil {
		return nil, nil, err
	}
	described, err := exchange(stream, &reflection.ServerReflectionRequest{
		MessageRequest: &reflection.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: symbol},
	})
	if err != nil {
		return nil, nil, err
	}
	var names []string
	for _, each := range listed.GetListServicesResponse().GetService() {
		names = append(names, each.GetName())
	}
	return names, described.GetFileDescriptorResponse().GetFileDescriptorProto(), nil
}

func exchange(stream grpc.ClientStream, request proto.Message) (*reflection.ServerReflectionResponse, error) {
	if err := stream.SendMsg(request); err != nil {
		return nil, err
	}
	response := &reflection.ServerReflectionResponse{}
	return response, stream.RecvMsg(response)
}
