package mesh.kit;

import java.util.Map;

import org.apache.dubbo.common.extension.Activate;
import org.apache.dubbo.rpc.Filter;
import org.apache.dubbo.rpc.Invocation;
import org.apache.dubbo.rpc.Invoker;
import org.apache.dubbo.rpc.Result;

/**
 * Keeps the attachments of the last answer.  RpcContext would have them, too, but
 * in 2.7 only with a cluster, and a single direct URL gets none.
 */
@Activate(group = "consumer")
public final class AnswerFilter implements Filter, Filter.Listener {

    private static volatile Map<String, Object> attachments = Map.of();

    static Object last(String key) {
        return attachments.get(key);
    }

    @Override
    public Result invoke(Invoker<?> invoker, Invocation invocation) {
        return invoker.invoke(invocation);
    }

    @Override
    public void onResponse(Result answer, Invoker<?> invoker, Invocation invocation) {
        Map<String, Object> got = answer.getObjectAttachments();
        attachments = got == null ? Map.of() : got;
    }

    @Override
    public void onError(Throwable t, Invoker<?> invoker, Invocation invocation) {
        attachments = Map.of();
    }
}
