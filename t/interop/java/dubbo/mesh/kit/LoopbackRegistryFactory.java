package mesh.kit;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;

import org.apache.dubbo.common.URL;
import org.apache.dubbo.registry.Registry;
import org.apache.dubbo.registry.RegistryFactory;

/**
 * Lets registries have 127.0.0.1 where {@link Sdk#LOOPBACK} is what Dubbo was
 * told, as only that is an address for all who read it there.
 */
public final class LoopbackRegistryFactory implements RegistryFactory {

    private final RegistryFactory factory;

    public LoopbackRegistryFactory(RegistryFactory factory) {
        this.factory = factory;
    }

    @Override
    public Registry getRegistry(URL url) {
        Registry registry = factory.getRegistry(url);

        if (registry == null) {
            return null;
        }
        return (Registry) Proxy.newProxyInstance(Registry.class.getClassLoader(),
                new Class<?>[] {Registry.class}, (proxy, method, args) -> {
                    for (int i = 0; args != null && i < args.length; i++) {
                        args[i] = spelt(args[i]);
                    }
                    try {
                        return method.invoke(registry, args);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    private static Object spelt(Object argument) {
        return argument instanceof URL && Sdk.LOOPBACK.equals(((URL) argument).getHost())
                ? ((URL) argument).setHost("127.0.0.1") : argument;
    }
}
