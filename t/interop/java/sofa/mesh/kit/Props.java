package mesh.kit;

import com.alipay.sofa.rpc.core.exception.SofaRpcException;
import com.alipay.sofa.rpc.core.request.SofaRequest;
import com.alipay.sofa.rpc.core.response.SofaResponse;
import com.alipay.sofa.rpc.filter.Filter;
import com.alipay.sofa.rpc.filter.FilterInvoker;

/** Request and response props: the consumer's are sent, the provider's sent back. */
final class Props extends Filter {

    private static final String ASKED = "kit.asked";
    private static final String SEEN = "kit.seen";

    private static volatile String asked;
    private static volatile String seen;

    private final boolean provider;

    Props(boolean provider) {
        this.provider = provider;
    }

    /** the prop of the requests from now on; null for none */
    static void ask(String text) {
        asked = text;
        seen = null;
    }

    /** what the provider had seen of it */
    static String seen() {
        return seen;
    }

    @Override
    public SofaResponse invoke(FilterInvoker invoker, SofaRequest request) throws SofaRpcException {
        if (!provider && asked != null) {
            request.addRequestProp(ASKED, asked);
        }

        SofaResponse response = invoker.invoke(request);
        if (response == null) {
            return null;
        }

        if (!provider) {
            Object value = response.getResponseProp(SEEN);
            seen = value == null ? null : value.toString();
        } else if (request.getRequestProp(ASKED) != null) {
            response.addResponseProp(SEEN, request.getRequestProp(ASKED).toString());
        }
        return response;
    }
}
