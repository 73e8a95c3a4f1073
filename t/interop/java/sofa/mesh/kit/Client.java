package mesh.kit;

import java.util.List;

import com.alipay.remoting.rpc.RpcClient;
import com.alipay.sofa.rpc.api.GenericService;
import com.alipay.sofa.rpc.config.ApplicationConfig;
import com.alipay.sofa.rpc.config.ConsumerConfig;
import com.alipay.sofa.rpc.config.MethodConfig;

import mesh.kit.api.Echo;
import mesh.kit.api.Wrapped;

/**
 * One reference, or a bare client of Bolt 2:
 *
 * <pre>
 * ref name=R address=HOST:PORT [version=] [unique=] [timeout=] [retries=]
 *     [serialization=hessian2|json|protobuf] [invoke=future|callback] [generic=true]
 * ref name=R address=HOST:PORT [unique=] bolt=2
 * </pre>
 *
 * References to one address share a connection; those of another consumer have
 * one of their own, see {@link Cells}.
 */
final class Client {

    final String name;
    final String unique;
    final String invoke;
    final int timeout;
    final Echo echo;
    final Wrapped wrapped;
    final GenericService generic;
    final RpcClient bolt;
    final String url;
    private final ConsumerConfig<?> config;

    Client(Line line) {
        name = line.get("name");
        unique = line.get("unique", null);
        invoke = line.get("invoke", "sync");
        timeout = line.number("timeout", 5000);
        boolean plain = line.has("bolt");
        boolean protobuf = line.get("serialization", "").equals("protobuf");
        boolean any = line.has("generic");

        bolt = plain ? new RpcClient() : null;
        url = line.get("address") + "?_PROTOCOL=2&_VERSION=2";
        if (plain) {
            bolt.startup();
            config = null;
        } else {
            config = config(line);
        }

        echo = plain || protobuf || any ? null : refer(Echo.class);
        wrapped = protobuf ? refer(Wrapped.class) : null;
        generic = any ? refer(GenericService.class) : null;
    }

    void destroy() {
        if (config == null) {
            bolt.shutdown();
        } else {
            config.unRefer();
        }
    }

    private <T> T refer(Class<T> type) {
        if (type != GenericService.class) {
            config.setInterfaceId(type.getName());
        }
        return type.cast(config.refer());
    }

    private static ConsumerConfig<?> config(Line line) {
        MethodConfig fire = new MethodConfig();
        fire.setName("fire");
        fire.setInvokeType("oneway");

        ConsumerConfig<Object> config = new ConsumerConfig<>()
                .setApplication(new ApplicationConfig().setAppName("mesh-kit-consumer"))
                .setInterfaceId(Echo.class.getName())
                .setMethods(List.of(fire))
                .setProtocol("bolt")
                .setDirectUrl("bolt://" + line.get("address"))
                .setUniqueId(line.get("unique", null))
                .setVersion(line.get("version", "1.0"))
                .setTimeout(line.number("timeout", 5000))
                .setRetries(line.number("retries", 0))
                .setSerialization(line.get("serialization", "hessian2"))
                .setInvokeType(line.get("invoke", "sync"))
                .setGeneric(line.has("generic"))
                .setFilterRef(List.of(new Props(false)))
                /* each test has references of its own to the same service */
                .setRepeatedReferLimit(-1)
                .setRegister(false)
                .setSubscribe(false);
        return config;
    }
}
