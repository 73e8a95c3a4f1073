package mesh.kit;

import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import com.alipay.hessian.generic.model.GenericObject;
import com.alipay.remoting.InvokeContext;
import com.alipay.sofa.rpc.api.GenericService;
import com.alipay.sofa.rpc.api.future.SofaResponseFuture;
import com.alipay.sofa.rpc.codec.bolt.SofaRpcSerializationRegister;
import com.alipay.sofa.rpc.common.RemotingConstants;
import com.alipay.sofa.rpc.context.RpcInvokeContext;
import com.alipay.sofa.rpc.core.exception.SofaRpcException;
import com.alipay.sofa.rpc.core.invoke.SofaResponseCallback;
import com.alipay.sofa.rpc.core.request.RequestBase;
import com.alipay.sofa.rpc.core.request.SofaRequest;
import com.alipay.sofa.rpc.core.response.SofaResponse;
import com.google.protobuf.StringValue;

import mesh.kit.api.Echo;
import mesh.kit.api.Person;
import mesh.kit.api.Plain;

/** Single calls, by name; "value=" is what they returned, "null=1" that it was null. */
final class Calls {

    private static final String STRING = "java.lang.String";

    private Calls() {
    }

    static Line make(Client client, Line line) throws Throwable {
        Line answer = new Line("ok");
        Object value;
        if (client.bolt != null) {
            value = plain(client, line);
        } else if (client.generic != null) {
            value = generic(client.generic, line);
        } else if (client.wrapped != null) {
            value = wrapped(client, line, answer);
        } else if (!client.invoke.equals("sync")) {
            value = later(client, line, answer);
        } else {
            value = typed(client.echo, line, answer);
        }
        return value == null ? answer.with("null", 1) : answer.with("value", value);
    }

    private static Object typed(Echo echo, Line line, Line answer) throws Throwable {
        switch (line.get("op")) {
        case "fire":
            echo.fire(line.get("arg"));
            return null;
        case "attachment":
            return baggage(echo, line, answer);
        case "props":
            return props(() -> echo.echo("x"), line, answer);
        default:
            return EchoCalls.make(echo, line.get("op"), line);
        }
    }

    /**
     * Baggage there and back, that of key= though it is sent as sent=; the context
     * of a thread keeps it otherwise.
     */
    private static Object baggage(Echo echo, Line line, Line answer) {
        RpcInvokeContext context = RpcInvokeContext.getContext();
        context.putRequestBaggage(line.get("sent", line.get("key")), line.get("arg"));
        try {
            String value = echo.attachment(line.get("key"));
            answer.with("seen", RpcInvokeContext.getContext().getResponseBaggage("seen"));
            return value;
        } finally {
            RpcInvokeContext.removeContext();
        }
    }

    private interface Call {

        Object make() throws Throwable;
    }

    private static Object props(Call call, Line line, Line answer) throws Throwable {
        Props.ask(line.get("arg", null));
        try {
            Object value = call.make();
            answer.with("seen", Props.seen());
            return value;
        } finally {
            Props.ask(null);
        }
    }

    private static Object wrapped(Client client, Line line, Line answer) throws Throwable {
        StringValue text = StringValue.of(line.get("arg", ""));
        switch (line.get("op")) {
        case "echo":
            return client.wrapped.echo(text).getValue();
        case "fail":
            return client.wrapped.fail(text).getValue();
        case "props":
            return props(() -> client.wrapped.echo(StringValue.of("x")).getValue(), line, answer);
        default:
            throw new IllegalArgumentException("unknown op " + line.get("op") + " with protobuf");
        }
    }

    /**
     * The same calls by future or callback: what they return at once is nothing
     * yet.  "early" says that the answer had not come, "thread" who brought it.
     */
    private static Object later(Client client, Line line, Line answer) throws Throwable {
        CompletableFuture<Object> got = new CompletableFuture<>();
        String[] thread = new String[1];

        if (client.invoke.equals("callback")) {
            RpcInvokeContext.getContext().setResponseCallback(new Callback(got, thread));
        }
        EchoCalls.make(client.echo, line.get("op"), line);

        if (client.invoke.equals("future")) {
            answer.with("early", SofaResponseFuture.isDone() ? 0 : 1);
            return SofaResponseFuture.getResponse(10_000, true);
        }
        answer.with("early", got.isDone() ? 0 : 1);
        Object value = got.get(10, TimeUnit.SECONDS);
        answer.with("thread", thread[0].equals(Thread.currentThread().getName()) ? "same" : "other");
        return value;
    }

    private static final class Callback implements SofaResponseCallback<Object> {

        private final CompletableFuture<Object> got;
        private final String[] thread;

        private Callback(CompletableFuture<Object> got, String[] thread) {
            this.got = got;
            this.thread = thread;
        }

        @Override
        public void onAppResponse(Object value, String method, RequestBase request) {
            thread[0] = Thread.currentThread().getName();
            got.complete(value);
        }

        @Override
        public void onAppException(Throwable e, String method, RequestBase request) {
            got.completeExceptionally(e);
        }

        @Override
        public void onSofaException(SofaRpcException e, String method, RequestBase request) {
            got.completeExceptionally(e);
        }
    }

    private static Object generic(GenericService service, Line line) {
        String op = line.get("op");
        switch (op) {
        case "echo":
        case "fail":
            return service.$invoke(op, new String[] {STRING}, new Object[] {line.get("arg")});
        case "$genericInvoke":
            GenericObject person = new GenericObject(Person.class.getName());
            person.putField("name", "Généric");
            person.putField("age", 40);
            GenericObject got = (GenericObject) service.$genericInvoke("birthday",
                    new String[] {Person.class.getName()}, new Object[] {person});
            return got.getType() + " " + got.getField("name") + " " + got.getField("age");
        case "$genericInvoke of a class":
            Person boss = new Person("Boss", 60);
            Person older = service.$genericInvoke("birthday",
                    new String[] {Person.class.getName()}, new Object[] {boss}, Person.class);
            return older.getName() + " " + older.getAge();
        default:
            throw new IllegalArgumentException("unknown generic op " + op);
        }
    }

    /** Bolt 2 with a CRC, and what SOFARPC would say over Bolt 1. */
    private static Object plain(Client client, Line line) throws Exception {
        if (line.get("op").equals("plain")) {
            Plain answer = (Plain) client.bolt.invokeSync(client.url,
                    new Plain(line.get("arg")), client.timeout);
            return answer.getText();
        }

        new SofaRpcSerializationRegister().doRegisterCustomSerializer();

        String service = Echo.class.getName() + ":1.0"
                + (client.unique == null ? "" : ":" + client.unique);
        SofaRequest request = new SofaRequest();
        request.setTargetServiceUniqueName(service);
        request.setInterfaceName(Echo.class.getName());
        request.setMethodName(line.get("op"));
        request.setMethodArgSigs(new String[] {STRING});
        request.setMethodArgs(new Object[] {line.get("arg")});
        request.setSerializeType((byte) 1);

        InvokeContext context = new InvokeContext();
        context.put(InvokeContext.BOLT_CUSTOM_SERIALIZER, request.getSerializeType());
        context.put(RemotingConstants.HEAD_TARGET_SERVICE, service);
        context.put(RemotingConstants.HEAD_METHOD_NAME, request.getMethodName());

        SofaResponse response = (SofaResponse) client.bolt.invokeSync(client.url, request,
                context, client.timeout);
        if (response.isError()) {
            throw new SofaRpcException(response.getErrorMsg());
        }
        return response.getAppResponse();
    }
}
